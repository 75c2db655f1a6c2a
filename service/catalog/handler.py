"""Functions that render rows, or their own value, in a media type (PostgREST's documentation, "Media Type Handlers").

The media type is the name of the domain that they return: `create domain "text/html" as text`.
"""

import re
from dataclasses import dataclass

ANY = "*/*"
_TOKEN = r"[A-Za-z0-9!#$&^_.+-]+"  # noqa: S105 (RFC 6838, section 4.2)
_DOMAIN = re.compile(rf'(?:^|\.)"({_TOKEN}/{_TOKEN}|\*/\*)"$')


@dataclass(frozen=True, slots=True)
class Handler:
    """What renders in `media_type` (lower case, `*/*` for any): an aggregate over rows, or a function by itself.

    `name` is as in grants, `function` its schema and name. `rows_of` is the table (schema, name) whose whole rows it
    takes; one without takes rows of any kind. `base_type` is what its domain is made of.
    """

    media_type: str
    name: str
    function: tuple[str, str]
    base_type: str
    rows_of: tuple[str, str] | None = None

    @property
    def is_binary(self) -> bool:
        return self.base_type == "bytea"


def media_type_of(sql_type: str) -> str | None:
    """The media type that a domain is named after, by the type as PostgreSQL writes it."""
    match = _DOMAIN.search(sql_type)
    return match[1].lower() if match else None
