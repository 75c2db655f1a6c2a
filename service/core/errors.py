"""What can go wrong, as domain errors. They know a stable code and nothing of HTTP.

RowhouseError
├── ConfigurationError        the settings do not allow a start
├── InvalidQuery              the query string says something that the language does not have
│   └── UnknownColumn         a column that the table does not have
├── InvalidBody               the body cannot be read, or a field of it cannot be stored
│   └── TooManyRejected       more rows of an import were refused than it allows
├── RangeNotSatisfiable       an offset past the end
├── TableNotFound             no such table, or none that the caller may know of
├── RowNotFound               no such row, or none that the caller may see
├── JobNotFound               no such background job
├── RelationNotFound          no way to embed one table in another
├── AmbiguousRelation         more than one way to embed
├── MethodNotAllowed          the resource does not take this method
├── NotAcceptable             no representation that the caller accepts
├── LimitExceeded             body, URL, depth or statement time over its bound
├── PreconditionFailed        the row is not in the version that the caller has seen
├── UnfilteredWrite           a write of a whole table that does not say so
├── TargetRefused             a URL that webhooks may not go to
├── MustRefetch               what was missed is gone: the rows have to be read again
├── PastUnknown               the log does not reach back so far
├── Conflict                  a unique or foreign key stands in the way
├── AuthenticationFailed      the credential is wrong, expired or revoked
├── Forbidden                 the caller is known and may not
├── TooManyRequests           over the rate limit
├── DatabaseRejected          PostgreSQL refused the statement for what the caller sent
│   └── RaisedByFunction      a function refused, in its author's words
└── DatabaseUnavailable       PostgreSQL cannot be reached, or cannot serve now
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

# PostgREST lists the ways of an ambiguous embedding one by one.
Details = str | list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of the input, and what is wrong with it."""

    field: str
    message: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row of an import that was left out: its number, the column where it is known, why, and what stands there."""

    row: int
    column: str | None
    reason: str
    code: str
    value: str | None


class RowhouseError(Exception):
    """An error with a stable code, in the caller's terms.

    `details` and `hint` follow PostgREST's error body; `fields` names the parts of the input at fault.
    `constraint` is the database's constraint that was violated.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        details: Details | None = None,
        hint: str | None = None,
        fields: Sequence[FieldError] = (),
        code: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.constraint = constraint
        self.details = details
        self.hint = hint
        self.fields = tuple(fields)
        self.stable_code = code or self.code


class ConfigurationError(RowhouseError):
    code = "configuration"


class InvalidQuery(RowhouseError):
    code = "PGRST100"


class UnknownColumn(InvalidQuery):
    code = "42703"


class InvalidBody(RowhouseError):
    code = "PGRST102"


class TooManyRejected(InvalidBody):
    """`rejected` are the rows up to the first one too many."""

    code = "too_many_rejected"

    def __init__(self, message: str, rejected: Sequence[Rejected]) -> None:
        super().__init__(message, hint="Mend the rows, or allow for more of them: Prefer: max-rejected.")
        self.rejected = tuple(rejected)


class RangeNotSatisfiable(RowhouseError):
    """`total` is how many there are, where they were counted: rows, or what `unit` says."""

    code = "PGRST103"

    def __init__(self, message: str, *, details: str, total: int | None = None, unit: str | None = None) -> None:
        super().__init__(message, details=details)
        self.total = total
        self.unit = unit


class TableNotFound(RowhouseError):
    code = "PGRST205"


class RowNotFound(RowhouseError):
    code = "row_not_found"


class JobNotFound(RowhouseError):
    code = "job_not_found"


class RelationNotFound(RowhouseError):
    code = "PGRST200"


class AmbiguousRelation(RowhouseError):
    code = "PGRST201"


class MethodNotAllowed(RowhouseError):
    """`allow` lists the methods that the resource does take."""

    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.allow = allow


class NotAcceptable(RowhouseError):
    code = "PGRST107"


class UnsupportedMediaType(RowhouseError):
    code = "unsupported_media_type"


class LimitExceeded(RowhouseError):
    code = "limit_exceeded"


class PreconditionFailed(RowhouseError):
    """`current` is the row as JSON, as it now stands and as the caller may see it; `version` its row version."""

    code = "precondition_failed"

    def __init__(self, message: str, *, current: bytes | None = None, version: str | None = None) -> None:
        super().__init__(
            message,
            hint="Read the row again, apply the change to what it is now, and send its ETag in If-Match.",
        )
        self.current = current
        self.version = version


class UnfilteredWrite(RowhouseError):
    code = "unfiltered_write"


class TargetRefused(RowhouseError):
    """What the host's addresses are is never told."""

    code = "target_refused"


class MustRefetch(RowhouseError):
    code = "must_refetch"


class PastUnknown(RowhouseError):
    code = "past_unknown"


class Conflict(RowhouseError):
    code = "conflict"


class AuthenticationFailed(RowhouseError):
    code = "invalid_credential"


class Forbidden(RowhouseError):
    code = "42501"


class TooManyRequests(RowhouseError):
    """`retry_after` is in whole seconds; `headers` are the RateLimit fields of the answer."""

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.headers = dict(headers or {})


class DatabaseRejected(RowhouseError):
    code = "database_rejected"


class RaisedByFunction(DatabaseRejected):
    """`status` and `headers` are what the function's author asks of the answer, and unchecked."""

    def __init__(
        self,
        message: str,
        *,
        details: Details | None = None,
        hint: str | None = None,
        code: str,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, details=details, hint=hint, code=code)
        self.status = status
        self.headers = dict(headers or {})


class DatabaseUnavailable(RowhouseError):
    """`retry_after` is in whole seconds."""

    code = "database_unavailable"

    def __init__(self, message: str, *, retry_after: int = 2, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
