"""What comes of an attempt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.webhooks.sender import Answer

_GONE = 410
_LONGEST_RETRY_AFTER = 86400.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`retry` is how many seconds to wait before the next attempt, None where there is none. `is_gone`: the receiver
    wants nothing more.
    """

    outcome: str
    retry: float | None = None
    is_gone: bool = False


def judge(answer: Answer, attempt: int, waits: Sequence[float], uniform: Callable[[float, float], float]) -> Verdict:
    """What to do after attempt number `attempt`, from 1: exponential backoff with full jitter.

    The receiver's own `Retry-After` is honoured, up to a day, and 410 ends all (Standard Webhooks 1.0.0, "Delivery").
    """
    if answer.is_success:
        return Verdict("delivered")
    if answer.status == _GONE:
        return Verdict("dead", is_gone=True)
    if attempt > len(waits):
        return Verdict("dead")
    asked = min(answer.retry_after or 0.0, _LONGEST_RETRY_AFTER)
    return Verdict("retry", max(uniform(0, waits[attempt - 1]), asked))
