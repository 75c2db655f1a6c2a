"""What comes of an attempt."""

import pytest

from service.webhooks.sender import Answer
from service.webhooks.verdict import Verdict, judge

_WAITS = (5.0, 300.0)


def _longest(low: float, high: float) -> float:
    assert low == 0
    return high


@pytest.mark.parametrize("status", [200, 204, 299])
def test_2xx_is_success(status: int) -> None:
    assert judge(Answer(0.1, status), 1, _WAITS, _longest) == Verdict("delivered")


@pytest.mark.parametrize("status", [100, 199, 300, 307, 400, 404, 429, 500, 599, None])
def test_anything_else_is_tried_again_later_and_later(status: int | None) -> None:
    answer = Answer(0.1, status)
    assert [judge(answer, attempt, _WAITS, _longest).retry for attempt in (1, 2)] == [5, 300]
    assert judge(answer, 3, _WAITS, _longest) == Verdict("dead")


def test_the_wait_is_any_up_to_the_longest() -> None:
    assert judge(Answer(0.1, 500), 2, _WAITS, lambda low, high: low).retry == 0


def test_retry_after_is_honoured_up_to_a_day() -> None:
    assert judge(Answer(0.1, 503, retry_after=60), 1, _WAITS, _longest).retry == 60
    assert judge(Answer(0.1, 503, retry_after=1), 1, _WAITS, _longest).retry == 5
    assert judge(Answer(0.1, 503, retry_after=10**9), 1, _WAITS, _longest).retry == 86400


def test_gone_ends_it() -> None:
    assert judge(Answer(0.1, 410), 1, _WAITS, _longest) == Verdict("dead", is_gone=True)
