"""How long things take."""

from dataclasses import dataclass
from random import SystemRandom


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds."""

    lease: float = 30  # after which a worker that says nothing has lost its job to others
    sweep: float = 1  # how often due jobs are looked for
    drain: float = 20  # how long running jobs may go on after the worker was told to stop
    first_backoff: float = 2
    most_backoff: float = 900

    def backoff(self, attempt: int) -> float:
        """How long to wait after a failed attempt: exponential, with full jitter, so that failures do not march in step

        (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        """
        bound = min(self.most_backoff, self.first_backoff * 2 ** min(attempt - 1, 32))
        return SystemRandom().uniform(0, bound)


def jittered(seconds: float) -> float:
    """About so long: processes that began together do not stay together."""
    return seconds * SystemRandom().uniform(0.8, 1.2)
