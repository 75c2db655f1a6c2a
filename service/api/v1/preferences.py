"""The `Prefer` header (RFC 7240), as far as it is honoured."""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from zoneinfo import available_timezones

from service.core.errors import InvalidQuery
from service.query.plan import Count, OnConflict


class Return(StrEnum):
    REPRESENTATION = "representation"
    MINIMAL = "minimal"
    HEADERS_ONLY = "headers-only"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the caller prefers; None where nothing was said. `honoured` are those that were understood.

    `keeps` is None, or whether the write is to be kept (`tx=commit`, `tx=rollback`). Imports alone know `replaces`,
    `max_rejected` and `is_async`.
    """

    answer: Return | None = None
    count: Count | None = None
    resolution: OnConflict | None = None
    fills_missing: bool = False
    max_affected: int | None = None
    min_affected: int | None = None
    keeps: bool | None = None
    timezone: str | None = None
    is_strict: bool = False
    replaces: bool = False
    max_rejected: int | None = None
    is_async: bool = False
    honoured: tuple[tuple[str, str], ...] = ()

    def applied(self, *names: str) -> str:
        """`Preference-Applied` of an operation that knows these preferences."""
        return ", ".join(_written(name, value) for name, value in self.honoured if name in (*names, "handling"))

    def without_resolution(self) -> "Preferences":
        """The same, with nothing said of how to resolve conflicts."""
        honoured = tuple(item for item in self.honoured if item[0] != "resolution")
        return replace(self, resolution=None, honoured=honoured)

    def counting_exactly(self) -> "Preferences":
        """The same; if the rows are to be counted, one by one."""
        if self.count is None:
            return self
        honoured = tuple(("count", Count.EXACT) if item[0] == "count" else item for item in self.honoured)
        return replace(self, count=Count.EXACT, honoured=honoured)


NONE = Preferences()
_RESOLUTIONS = {"merge-duplicates": OnConflict.REPLACE, "ignore-duplicates": OnConflict.IGNORE}
_KNOWN: dict[str, tuple[str, ...]] = {
    "resolution": tuple(_RESOLUTIONS),
    "missing": ("default", "null"),
    "return": tuple(Return),
    "count": tuple(Count),
    "tx": ("commit", "rollback"),
    "handling": ("strict", "lenient"),
}


_REPLACE = "replace"
_OF_IMPORTS = _KNOWN | {"resolution": (*_RESOLUTIONS, _REPLACE), "respond-async": ("",)}


def parse_preferences(header: str | None, *, may_roll_back: bool = False, is_import: bool = False) -> Preferences:
    """Read the header. What is unknown is passed over, unless `handling=strict` asks for an error.

    Raises:
        InvalidQuery: with `handling=strict`, a preference that is not honoured here; an unreadable `max-affected`,
            `min-affected` or `max-rejected`.
    """
    if not header:
        return NONE
    given = _given(header)
    known = _OF_IMPORTS if is_import else _KNOWN
    honoured = {name: given[name] for name, values in known.items() if given.get(name) in values}
    if is_import and "max-rejected" in given:
        honoured["max-rejected"] = given["max-rejected"]
    if not (may_roll_back or is_import):
        honoured.pop("tx", None)
    if "timezone" in given and _is_time_zone(given["timezone"]):
        honoured["timezone"] = given["timezone"]
    if honoured.get("handling") != "lenient":
        honoured |= {name: given[name] for name in ("max-affected", "min-affected") if name in given}
    is_strict = honoured.get("handling") == "strict"
    if is_strict and (unknown := [_written(name, value) for name, value in given.items() if name not in honoured]):
        raise InvalidQuery(
            "Invalid preferences given with handling=strict",
            details=f"Invalid preferences: {', '.join(unknown)}",
            code="PGRST122",
        )
    return Preferences(
        answer=Return(honoured["return"]) if "return" in honoured else None,
        count=Count(honoured["count"]) if "count" in honoured else None,
        resolution=_RESOLUTIONS.get(honoured.get("resolution", "")),
        fills_missing=honoured.get("missing") == "default",
        max_affected=_number("max-affected", honoured),
        min_affected=_number("min-affected", honoured),
        keeps=honoured["tx"] == "commit" if "tx" in honoured else None,
        timezone=honoured.get("timezone"),
        is_strict=is_strict,
        replaces=honoured.get("resolution") == _REPLACE,
        max_rejected=_number("max-rejected", honoured),
        is_async="respond-async" in honoured,
        honoured=tuple(honoured.items()),
    )


def _given(header: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.partition("=")
        # Parameters of a preference, behind a semicolon, are defined for none of these.
        given.setdefault(name.strip().lower(), value.partition(";")[0].strip().strip('"'))
    given.pop("", None)
    return given


def _written(name: str, value: str) -> str:
    return f"{name}={value}" if value else name


def _is_time_zone(name: str) -> bool:
    """Whether there is such a zone. Where this machine has no list of them, PostgreSQL alone decides."""
    known = _time_zones()
    return not known or name in known


@lru_cache(1)
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _number(name: str, honoured: dict[str, str]) -> int | None:
    """How many rows a write may or must touch (held to unless the caller says `handling=lenient`), or leave out."""
    value = honoured.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        # A bound that is passed over would let through what it should stop.
        raise InvalidQuery(f"`{name}` must be a whole number, not negative.", code="PGRST122")
    return int(value)
