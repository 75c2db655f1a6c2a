"""The `Prefer` header (RFC 7240), as far as it is honoured."""

from dataclasses import dataclass
from enum import StrEnum

from service.core.errors import InvalidQuery


class Return(StrEnum):
    REPRESENTATION = "representation"
    MINIMAL = "minimal"
    HEADERS_ONLY = "headers-only"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the caller prefers; None where nothing was said. `honoured` are those that were understood."""

    answer: Return | None = None
    wants_count: bool = False
    max_affected: int | None = None
    honoured: tuple[tuple[str, str], ...] = ()

    def applied(self, *names: str) -> str:
        """`Preference-Applied` of an operation that knows these preferences."""
        return ", ".join(f"{name}={value}" for name, value in self.honoured if name in (*names, "handling"))


NONE = Preferences()


def parse_preferences(header: str | None) -> Preferences:
    """Read the header. What is unknown is passed over, unless `handling=strict` asks for an error.

    Raises:
        InvalidQuery: with `handling=strict`, a preference that is not honoured here; an unreadable `max-affected`.
    """
    if not header:
        return NONE
    given: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.partition("=")
        # Parameters of a preference, behind a semicolon, are defined for none of these.
        given.setdefault(name.strip().lower(), value.partition(";")[0].strip().strip('"'))
    honoured: dict[str, str] = {}
    answer = _return(given.get("return"), honoured)
    wants_count = given.get("count") == "exact"
    if wants_count:
        honoured["count"] = "exact"
    max_affected = _max_affected(given.get("max-affected"), honoured)
    if given.get("handling") == "strict":
        honoured["handling"] = "strict"
        if unknown := [f"{name}={value}" for name, value in given.items() if name not in honoured]:
            raise InvalidQuery(
                f"Preferences that are not honoured here: {', '.join(unknown)}.",
                hint="Known: return, count=exact, max-affected, handling.",
                code="PGRST122",
            )
    return Preferences(answer, wants_count, max_affected, tuple(honoured.items()))


def _return(value: str | None, honoured: dict[str, str]) -> Return | None:
    answer = next((item for item in Return if item.value == value), None)
    if answer is not None:
        honoured["return"] = answer.value
    return answer


def _max_affected(value: str | None, honoured: dict[str, str]) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        # A bound that is passed over would let through what it should stop.
        raise InvalidQuery("`max-affected` must be a whole number, not negative.", code="PGRST122")
    honoured["max-affected"] = value
    return int(value)
