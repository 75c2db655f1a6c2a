"""Query strings as parameters: names and texts, before anything is read in them."""

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from service.core.errors import InvalidQuery

Parameters = tuple[tuple[str, str], ...]

# They say something of the whole request; the others, of a table at any depth.
OF_THE_REQUEST = frozenset({"select", "columns", "on_conflict", "cursor", "as_of"})
OF_A_TABLE = frozenset({"order", "limit", "offset", "and", "or", "having"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a request may ask for."""

    max_rows: int
    max_depth: int
    allows_aggregates: bool = True


# Without these bytes a query string is what it says.
_ENCODED = frozenset(b"%+\0")


def decode_parameters(query_string: bytes) -> Parameters:
    """Names and values in order, percent-decoded as UTF-8."""
    try:
        if _ENCODED.isdisjoint(query_string):
            plain = (part.partition("=") for part in query_string.decode().split("&") if part)
            return tuple((name, value) for name, _, value in plain)
        pairs = (part.partition(b"=") for part in query_string.split(b"&") if part)
        return tuple((_decode(name), _decode(value)) for name, _, value in pairs)
    except UnicodeDecodeError:
        raise InvalidQuery("The query string is not UTF-8.", hint="Percent-encode it as UTF-8.") from None


def is_reserved(name: str) -> bool:
    """Whether the name is a word of the language. A column of such a name is written in double quotes."""
    return name in OF_THE_REQUEST or name.rpartition(".")[2] in OF_A_TABLE


def _decode(part: bytes) -> str:
    text = unquote_to_bytes(part.replace(b"+", b" ")).decode()
    if "\x00" in text:
        raise InvalidQuery("The query string has a NUL character, which PostgreSQL cannot store.")
    return text
