"""PostgreSQL's SQLSTATE to a domain error (PostgreSQL manual, appendix A).

Read from the code and the constraint's name, never from English text. What PostgreSQL says is passed on only in the
classes whose messages speak of the caller's own input, and where a function raises an error of its own.
"""

import re

import asyncpg
import orjson

from service.core.errors import (
    Conflict,
    DatabaseRejected,
    DatabaseUnavailable,
    FieldError,
    Forbidden,
    InvalidBody,
    LimitExceeded,
    RaisedByFunction,
    RowhouseError,
    UnfilteredWrite,
)
from service.core.states import EMBED_LIMIT, MAX_AFFECTED, ROW_POLICY

_READ_ONLY = "25006"
RETRYABLE = frozenset({"40001", "40P01"})
# The function of PostgreSQL's source that RAISE runs in: unlike the message's context, it is never translated.
_RAISE = "exec_stmt_raise"
_WHOLE_ANSWER = "PGRST"
# Source files of hstore and PostGIS that call a text that they cannot read an internal error.
_UNREADABLE_TEXTS = ("hstore_io.c", "lwgeom_pg.c")
_STATUS = re.compile("PT[0-9]{3}", re.ASCII)
_CONSTRAINTS = {
    "23505": "A row with this key is there already.",
    "23503": "Another row is referred to that is not there, or still refers to this one.",
    "23P01": "The row overlaps with one that is there already.",
}


def to_domain(error: asyncpg.PostgresError, *, is_read: bool = False) -> RowhouseError:
    """The domain error for what PostgreSQL reported; the SQLSTATE is its code. `is_read`: nothing should be written."""
    state = error.sqlstate or "XX000"
    if isinstance(error, asyncpg.PostgresConnectionError):
        return DatabaseUnavailable("The connection to the database was lost.", code=state)
    if error.severity is None:  # asyncpg's own, before anything was sent; its text speaks of parameters
        return InvalidBody("A value cannot be sent to the database as it is.", code=state)
    if _is_raised(state, error):
        return _raised(state, error)
    if state == _READ_ONLY and not is_read:
        return DatabaseUnavailable(
            "The database takes no writes now: it is a standby, or set to be read only.", code="read_only_database"
        )
    if special := _special(state, error):
        return special
    match state[:2]:
        case "22" | "23":
            return InvalidBody(error.args[0], fields=_fields(error), code=state)
        case "42" | "0A":
            return DatabaseRejected("PostgreSQL does not take this request for these columns.", code=state)
        case "08" | "53" | "57" | "58":
            return DatabaseUnavailable("The database cannot serve this now.", code=state)
        case "21" | "2F" | "38" | "39" | "44" | "54" | "P0":
            return DatabaseRejected("The database refused the request.", code=state)
        case _:
            return DatabaseUnavailable("The database could not complete the request.", code=state)


def _is_raised(state: str, error: asyncpg.PostgresError) -> bool:
    """Whether a function's author raised it (`RAISE` of PL/pgSQL, or a state that is only ever raised)."""
    if state in RETRYABLE or state in (MAX_AFFECTED, EMBED_LIMIT, ROW_POLICY):
        return False
    return error.server_source_function == _RAISE or state[:2] == "PT" or state == _WHOLE_ANSWER


def _raised(state: str, error: asyncpg.PostgresError) -> RowhouseError:
    """The author's own words, and the status that they ask for (PostgREST, "Errors")."""
    if state == _WHOLE_ANSWER:
        return _whole_answer(error)
    status = int(state[2:]) if _STATUS.fullmatch(state) else 500 if state[:2] == "PT" else None
    return RaisedByFunction(error.args[0], details=error.detail, hint=error.hint, code=state, status=status)


def _whole_answer(error: asyncpg.PostgresError) -> RowhouseError:
    """`RAISE SQLSTATE 'PGRST'`: message and detail are JSON objects of the error's members, its status and headers."""
    body, rest = _object(error.args[0]), _object(error.detail)
    if not {"code", "message"} <= body.keys():
        return _unreadable(
            f"Invalid JSON value for MESSAGE: '{error.args[0]}'",
            "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', "
            "'hint'.",
        )
    status, headers = rest.get("status"), rest.get("headers")
    if type(status) is not int or not isinstance(headers, dict):
        return _unreadable(
            "DETAIL is missing in the RAISE statement"
            if error.detail is None
            else f"Invalid JSON value for DETAIL: '{error.detail}'",
            "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'.",
        )
    code, message, details, hint = (body.get(name) for name in ("code", "message", "details", "hint"))
    return RaisedByFunction(
        str(message),
        details=None if details is None else str(details),
        hint=None if hint is None else str(hint),
        code=str(code),
        status=status,
        headers={str(name): str(value) for name, value in headers.items()},
    )


def _unreadable(details: str, hint: str) -> RowhouseError:
    message = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"
    return RaisedByFunction(message, details=details, hint=hint, code="PGRST121", status=500)


def _object(text: str | None) -> dict[str, object]:
    try:
        value = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _special(state: str, error: asyncpg.PostgresError) -> RowhouseError | None:
    if message := _CONSTRAINTS.get(state):
        return Conflict(message, details=error.detail, code=state, constraint=error.constraint_name)
    match state:
        case "23502":
            # A domain that takes no NULL does not say of which column.
            which = f"Column {error.column_name!r}" if error.column_name else "A column"
            return InvalidBody(f"{which} must have a value.", fields=_fields(error), code=state)
        case "23514" if error.constraint_name is None and error.table_name is not None:
            return InvalidBody("The row fits no partition of the table.", code=state)
        case "23514":
            return InvalidBody(
                f"The row violates the check {error.constraint_name!r}.", code=state, constraint=error.constraint_name
            )
        case "42501":
            return Forbidden("The database does not allow the service to do this.")
        case "XX000" if error.server_source_filename in _UNREADABLE_TEXTS:
            return InvalidBody(error.args[0], code=state)
        case "57014":
            return LimitExceeded(
                "The statement took longer than the service allows and was stopped.",
                hint="Narrow the filter, ask for fewer rows, or order by an indexed column.",
                code=state,
            )
        case "40001" | "40P01":
            return DatabaseUnavailable("Other writers kept getting in the way; try again.", retry_after=1, code=state)
        case _ if state == MAX_AFFECTED:
            return UnfilteredWrite(
                "Query result exceeds max-affected preference constraint", details=error.args[0], code="PGRST124"
            )
        case _ if state == EMBED_LIMIT:
            return LimitExceeded(error.args[0], hint="Give the embedded table a limit, or a filter.")
        case _ if state == ROW_POLICY:
            return Forbidden("The row would not be one that you may write.", code="42501")
    return None


def _fields(error: asyncpg.PostgresError) -> list[FieldError]:
    return [FieldError(error.column_name, "must have a value")] if error.column_name else []
