"""How values are shown: as text that a person reads."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

_KEPT_IN_LISTS = 120
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def shortened(text: str, most: int = _KEPT_IN_LISTS) -> str:
    """The text on one line, cut where it is long."""
    line = " ".join(text[: most * 2].split())
    return line if len(line) <= most and len(text) <= most * 2 else f"{line[: most - 1]}…"


def counted(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}".replace(",", " ")


def sized(size: float) -> str:
    """Bytes in the unit that fits."""
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def moment(value: datetime | str | None) -> str:
    """A moment as the log and the sessions have it, in UTC."""
    if value is None:
        return "never"
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "shortened": shortened,
    "counted": counted,
    "sized": sized,
    "moment": moment,
}
