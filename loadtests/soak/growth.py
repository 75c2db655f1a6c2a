"""Does a series grow? By the median of the slopes of all pairs of samples (Theil-Sen), which outliers do not bend."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

# Growth that is no more than so many times the scatter around the line is none.
_SCATTERS = 3.0
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Growth:
    """Of the second half of a series: its level, what it grew by in that time, and the scatter around the line."""

    level: float
    by: float
    scatter: float

    def is_more_than(self, share: float, least: float) -> bool:
        """Whether it grew by more than the share of its level, by more than `least`, and not within its scatter."""
        return self.by > max(share * self.level, least, _SCATTERS * self.scatter)

    @property
    def percent(self) -> float:
        return self.by / self.level * 100 if self.level else 0.0


def growth_of(moments: Sequence[float], values: Sequence[float]) -> Growth:
    """The growth within the second half: in the first one, caches fill."""
    middle = (moments[0] + moments[-1]) / 2
    half = [(moment, value) for moment, value in zip(moments, values, strict=True) if moment >= middle]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(half, 2) if b[0] > a[0]]
    if not slopes:
        raise ValueError("A growth takes samples of two moments at least.")
    slope = median(slopes)
    offset = median(value - slope * moment for moment, value in half)
    scatter = median(abs(value - offset - slope * moment) for moment, value in half)
    return Growth(median(value for _, value in half), slope * (half[-1][0] - half[0][0]), scatter)


def line_of(values: Sequence[float], width: int) -> str:
    """A series as a line of bars, from its least value to its greatest."""
    step = max(1, -(-len(values) // width))
    means = [sum(part) / len(part) for part in (values[at : at + step] for at in range(0, len(values), step))]
    least, greatest = min(means), max(means)
    scale = (len(_BARS) - 1) / (greatest - least) if greatest > least else 0
    return "".join(_BARS[round((mean - least) * scale)] for mean in means)
