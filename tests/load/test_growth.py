"""What a soak calls growth."""

import random

import pytest

from loadtests.soak.growth import growth_of, line_of

_MOMENTS = [float(second) for second in range(0, 1200, 10)]
_RNG = random.Random(7)
_NOISE = [_RNG.uniform(-4, 4) for _ in _MOMENTS]


@pytest.mark.parametrize(
    ("values", "grows"),
    [
        ([100.0 for _ in _MOMENTS], False),
        ([100 + noise for noise in _NOISE], False),
        ([100 + min(moment, 300) for moment in _MOMENTS], False),
        ([150 + (200 if number % 17 == 0 else 0) for number in range(len(_MOMENTS))], False),
        ([200 - moment / 20 for moment in _MOMENTS], False),
        ([100 + moment / 40 for moment in _MOMENTS], True),
        ([100 + moment / 40 + noise / 2 for moment, noise in zip(_MOMENTS, _NOISE, strict=True)], True),
    ],
    ids=["level", "noise", "fills a cache", "peaks", "falls", "leaks", "leaks amid noise"],
)
def test_a_leak_is_told_from_noise(values: list[float], grows: bool) -> None:
    assert growth_of(_MOMENTS, values).is_more_than(0.05, 2.0) is grows


def test_growth_is_that_of_the_second_half() -> None:
    grown = growth_of(_MOMENTS, [100 + moment / 100 for moment in _MOMENTS])
    assert grown.by == pytest.approx(5.9)
    assert grown.percent == pytest.approx(5.9 / 109 * 100, rel=0.01)


def test_a_line_is_as_wide_as_it_may_be() -> None:
    assert line_of([1, 2, 3, 4], 4) == "▁▃▆█"
    assert len(line_of(_MOMENTS, 24)) == 24
    assert line_of([5.0] * 4, 4) == "▁▁▁▁"
