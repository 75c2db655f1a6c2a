"""What the forms of the system pages hold."""

from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from starlette.datastructures import FormData

from service.admin.visit import Visit
from service.core.errors import InvalidBody, InvalidQuery, RowNotFound
from service.core.types import Role

T = TypeVar("T")
_LONGEST = 4000


def text_in(form: FormData, name: str) -> str:
    """A field; empty where it is missing.

    Raises:
        InvalidBody: it is longer than any that is meant.
    """
    value = form.get(name)
    text = value if isinstance(value, str) else ""
    if len(text) > _LONGEST:
        raise InvalidBody(f"The field {name!r} is too long.")
    return text


def role_in(form: FormData, name: str = "role") -> Role:
    """Raises: InvalidBody."""
    try:
        return Role(text_in(form, name))
    except ValueError:
        raise InvalidBody("There is no such role.") from None


def id_in(visit: Visit, name: str) -> UUID:
    """The id that the address names.

    Raises:
        RowNotFound: it is none.
    """
    try:
        return UUID(visit.request.path_params[name])
    except ValueError:
        raise RowNotFound("There is no such page.") from None


def number_in(visit: Visit, name: str) -> int | None:
    """A whole number of the query string; None where it is not given.

    Raises:
        InvalidQuery: it is none.
    """
    text = visit.request.query_params.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidQuery(f"{name!r} is a whole number.")
    return int(text)


def word_in(visit: Visit, name: str) -> str:
    """A parameter of the query string; empty where it is not given.

    Raises:
        InvalidQuery: PostgreSQL cannot store it.
    """
    text = visit.request.query_params.get(name, "").strip()
    if "\x00" in text or len(text) > _LONGEST:
        raise InvalidQuery(f"{name!r} has a NUL character, or is too long.")
    return text


def moment_in(visit: Visit, name: str) -> datetime | None:
    """A moment of the query string, of UTC where it says nothing else.

    Raises:
        InvalidQuery: it is none.
    """
    text = word_in(visit, name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        raise InvalidQuery(f"{name!r} is a time such as 2026-05-31 or 2026-05-31T12:00.") from None
