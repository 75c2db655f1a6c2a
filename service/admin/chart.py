"""Small charts as SVG: where its bars and lines go. Their colours are in the style sheet."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 90
_SLOTS = 60
_SLOT = WIDTH / _SLOTS
_GAP = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle; `kind` is its class."""

    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of the minutes of an hour, the latest on the right. `most` is the value at the top, and `words` say what the
    chart shows to those who cannot see it.
    """

    title: str
    words: str
    most: str
    bars: list[Bar]
    is_empty: bool


def bars_of(values: Sequence[float], kind: str, most: float) -> list[Bar]:
    """One bar a value; none for 0, and a pixel at least for what is more."""
    first = _SLOTS - len(values)
    return [
        _bar((first + number) * _SLOT, max(1.0, value / most * HEIGHT), kind)
        for number, value in enumerate(values)
        if value > 0
    ]


def _bar(x: float, height: float, kind: str) -> Bar:
    return Bar(round(x, 1), round(HEIGHT - height, 1), _SLOT - _GAP, round(height, 1), kind)
