"""Errors as they may be told: where they came from, and their words as far as these repeat nothing.

Never local variables: they hold credentials, rows and parameters.
"""

import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from structlog.typing import EventDict, WrappedLogger

from service.core.errors import RowhouseError
from service.observability.masking import mask

# Their words quote values: rows, parameters, whole inputs. Their type says what went wrong.
_QUOTING = frozenset({"asyncpg", "sqlalchemy", "pydantic", "pydantic_core", "pydantic_settings", "fastapi", "pyarrow"})
_MOST_FRAMES = 50
_LONGEST = 500


def words_of(error: BaseException) -> str:
    """What the error says, masked; of a library that quotes values nothing but PostgreSQL's code."""
    if isinstance(error, RowhouseError):
        return mask(error.message)[:_LONGEST]
    if is_quoting(type(error).__module__):
        return str(getattr(error, "sqlstate", None) or "")
    try:
        return mask(str(error))[:_LONGEST]
    except Exception:  # it is somebody's code
        return ""


def is_quoting(module: str | None) -> bool:
    return (module or "").partition(".")[0] in _QUOTING


def error_of(exc_info: object) -> BaseException | None:
    """The error of what loggers take for one."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def explain(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A processor of structlog: the error and what it came from, the last first, for machines."""
    error = error_of(event.pop("exc_info", None))
    if error is not None:
        event["exception"] = [_entry(one) for one in _chain(error)]
    return event


def print_out(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The same for people, as Python prints it."""
    error = error_of(event.pop("exc_info", None))
    if error is not None:
        event["exception"] = "\n".join(_printed(one) for one in reversed(list(_chain(error))))
    return event


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, those of a group, and what each came from."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        cause = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        if cause is not None:
            waiting.append(cause)


def _entry(error: BaseException) -> dict[str, Any]:
    frames = [
        {"file": frame.filename, "line": frame.lineno, "function": frame.name} for frame in _frames(error.__traceback__)
    ]
    return {"type": _name(error), "message": words_of(error), "frames": frames}


def _printed(error: BaseException) -> str:
    frames = traceback.StackSummary.from_list(_frames(error.__traceback__)).format()
    return f"Traceback (most recent call last):\n{''.join(frames)}{_name(error)}: {words_of(error)}"


def _frames(at: TracebackType | None) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(at))[-_MOST_FRAMES:]


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
