"""Dates and times in the inputs that browsers have for them, where these lose nothing.

They know no infinity, no years before 1 and beyond 9999, and no fraction below milliseconds (HTML, "Dates and times"):
such values stay text. Browsers write the same moment in several ways: what is read here is as PostgreSQL writes it, so
that what was not touched is what it was. Sessions are in UTC.
"""

import re
from dataclasses import dataclass

from service.admin.fields import Kind

_DAY = r"(?!0000)\d{4}-\d\d-\d\d"
_CLOCK = r"(?:[01]\d|2[0-3]):\d\d(?::\d\d(?:\.\d{1,3})?)?"
_ZONE = "+00"
_SHOWN = {
    Kind.DATE: re.compile(_DAY),
    Kind.TIME: re.compile(_CLOCK),
    Kind.TIMESTAMP: re.compile(f"{_DAY} {_CLOCK}"),
    Kind.TIMESTAMP_ZONED: re.compile(f"{_DAY} {_CLOCK}{re.escape(_ZONE)}"),
}
_SENT = re.compile(f"({_DAY})?[T ]?({_CLOCK})?")
_TYPES = {
    Kind.DATE: "date",
    Kind.TIME: "time",
    Kind.TIMESTAMP: "datetime-local",
    Kind.TIMESTAMP_ZONED: "datetime-local",
}


@dataclass(frozen=True, slots=True)
class NativeInput:
    """The attributes of an input."""

    type: str
    value: str
    step: str


def native_input(kind: Kind, text: str | None) -> NativeInput | None:
    """The input of a value as PostgreSQL writes it; None where it would lose something, or the kind has none."""
    if kind not in _TYPES:
        return None
    if not text:
        return NativeInput(_TYPES[kind], "", "1")
    if not _SHOWN[kind].fullmatch(text):
        return None
    value = text.removesuffix(_ZONE) if kind is Kind.TIMESTAMP_ZONED else text
    return NativeInput(_TYPES[kind], value.replace(" ", "T"), "0.001" if "." in value else "1")


def native_text(kind: Kind, sent: str) -> str:
    """What such an input sent, as PostgreSQL writes it; any other text as it is."""
    found = _SENT.fullmatch(sent)
    if found is None or kind not in _TYPES:
        return sent
    day, clock = found[1], found[2]
    is_whole = {Kind.DATE: (True, False), Kind.TIME: (False, True)}.get(kind, (True, True))
    if (day is not None, clock is not None) != is_whole:
        return sent
    return " ".join(part for part in (day, clock and _whole(clock)) if part) + (
        _ZONE if kind is Kind.TIMESTAMP_ZONED else ""
    )


def _whole(clock: str) -> str:
    """A time with its seconds, without zeros at the end of their fraction."""
    clock = clock if clock.count(":") == 2 else f"{clock}:00"
    return clock.rstrip("0").rstrip(".") if "." in clock else clock
