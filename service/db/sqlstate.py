"""PostgreSQL's SQLSTATE to a domain error (PostgreSQL manual, appendix A).

Read from the code and the constraint's name, never from English text. What PostgreSQL says is passed on only in the
classes whose messages speak of the caller's own input, and where a function raises an error of its own.
"""

import asyncpg

from service.core.errors import (
    Conflict,
    DatabaseRejected,
    DatabaseUnavailable,
    FieldError,
    Forbidden,
    InvalidBody,
    LimitExceeded,
    RowhouseError,
    UnfilteredWrite,
)
from service.core.states import EMBED_LIMIT, MAX_AFFECTED, ROW_POLICY

RETRYABLE = frozenset({"40001", "40P01"})
_CONSTRAINTS = {
    "23505": "A row with this key is there already.",
    "23503": "Another row is referred to that is not there, or still refers to this one.",
    "23P01": "The row overlaps with one that is there already.",
}


def to_domain(error: asyncpg.PostgresError) -> RowhouseError:
    """The domain error for what PostgreSQL reported; the SQLSTATE is its code."""
    state = error.sqlstate or "XX000"
    if error.severity is None:  # asyncpg's own, before anything was sent; its text speaks of parameters
        return InvalidBody("A value cannot be sent to the database as it is.", code=state)
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


def _special(state: str, error: asyncpg.PostgresError) -> RowhouseError | None:
    if message := _CONSTRAINTS.get(state):
        return Conflict(message, details=error.detail, code=state, constraint=error.constraint_name)
    match state:
        case "23502":
            return InvalidBody(f"Column {error.column_name!r} must have a value.", fields=_fields(error), code=state)
        case "23514":
            return InvalidBody(
                f"The row violates the check {error.constraint_name!r}.", code=state, constraint=error.constraint_name
            )
        case "42501":
            return Forbidden("The database does not allow the service to do this.")
        case "57014":
            return LimitExceeded(
                "The statement took longer than the service allows and was stopped.",
                hint="Narrow the filter, ask for fewer rows, or order by an indexed column.",
                code=state,
            )
        case "40001" | "40P01":
            return DatabaseUnavailable("Other writers kept getting in the way; try again.", retry_after=1, code=state)
        case _ if _is_raised(state):
            return DatabaseRejected(error.args[0] or "", details=error.detail, hint=error.hint, code=state)
        case _ if state == MAX_AFFECTED:
            return UnfilteredWrite(error.args[0], code="PGRST124")
        case _ if state == EMBED_LIMIT:
            return LimitExceeded(error.args[0], hint="Give the embedded table a limit, or a filter.")
        case _ if state == ROW_POLICY:
            return Forbidden("The row would not be one that you may write.", code="42501")
    return None


def _is_raised(state: str) -> bool:
    """Whether a function or trigger speaks to the caller: `raise exception`, or with a state of its own.

    Classes from `I` on are for states that are no standard's (SQL:2023, part 2, section 24.1); PostgreSQL keeps `P0`
    and `XX` for itself, Rowhouse `RH`.
    """
    return state == "P0001" or (state[0] >= "I" and state[:2] not in ("P0", "XX", "RH"))


def _fields(error: asyncpg.PostgresError) -> list[FieldError]:
    return [FieldError(error.column_name, "must have a value")] if error.column_name else []
