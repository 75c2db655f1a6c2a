"""Domain errors to problem documents (RFC 9457), with PostgREST's `code`, `message`, `details` and `hint`.

This is the one table of codes to statuses.
"""

from http import HTTPStatus

import orjson
from starlette.types import Scope, Send

from service.api.header_fields import may_be_set
from service.core import errors

PROBLEM_TYPE = "application/problem+json"
_UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE

STATUS_OF: dict[type[errors.RowhouseError], HTTPStatus] = {
    errors.ConfigurationError: _UNAVAILABLE,
    errors.InvalidQuery: HTTPStatus.BAD_REQUEST,
    errors.InvalidBody: HTTPStatus.BAD_REQUEST,
    errors.RangeNotSatisfiable: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.TableNotFound: HTTPStatus.NOT_FOUND,
    errors.RowNotFound: HTTPStatus.NOT_FOUND,
    errors.JobNotFound: HTTPStatus.NOT_FOUND,
    errors.RelationNotFound: HTTPStatus.BAD_REQUEST,
    errors.AmbiguousRelation: HTTPStatus.MULTIPLE_CHOICES,
    errors.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    errors.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.LimitExceeded: HTTPStatus.BAD_REQUEST,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.UnfilteredWrite: HTTPStatus.BAD_REQUEST,
    errors.TargetRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.MustRefetch: HTTPStatus.GONE,
    errors.PastUnknown: HTTPStatus.GONE,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.AuthenticationFailed: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.DatabaseRejected: HTTPStatus.BAD_REQUEST,
    errors.DatabaseUnavailable: _UNAVAILABLE,
}
# Codes whose status is not that of their class.
_STATUS_OF_CODE = {
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "body_stalled": HTTPStatus.REQUEST_TIMEOUT,
    "url_too_long": HTTPStatus.REQUEST_URI_TOO_LONG,
    "57014": HTTPStatus.UNPROCESSABLE_ENTITY,
    "23514": HTTPStatus.UNPROCESSABLE_ENTITY,
    "idempotency_mismatch": HTTPStatus.UNPROCESSABLE_ENTITY,
    "PGRST103": HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    "PGRST105": HTTPStatus.METHOD_NOT_ALLOWED,
    "PGRST202": HTTPStatus.NOT_FOUND,
    "PGRST203": HTTPStatus.MULTIPLE_CHOICES,
    "PGRST106": HTTPStatus.NOT_ACCEPTABLE,
    "PGRST116": HTTPStatus.NOT_ACCEPTABLE,
    "42883": HTTPStatus.NOT_FOUND,
    "42P01": HTTPStatus.NOT_FOUND,
    "25006": HTTPStatus.METHOD_NOT_ALLOWED,
}


# PostgREST's statuses of what a function raises, by its SQLSTATE or the class of it; but what it answers with 500 is
# what the function made of the caller's input, and so 400.
_STATUS_OF_RAISED = {
    "08": _UNAVAILABLE,
    "53": _UNAVAILABLE,
    "28": HTTPStatus.FORBIDDEN,
    "0L": HTTPStatus.FORBIDDEN,
    "0P": HTTPStatus.FORBIDDEN,
    "42501": HTTPStatus.FORBIDDEN,
    "23503": HTTPStatus.CONFLICT,
    "23505": HTTPStatus.CONFLICT,
    "42883": HTTPStatus.NOT_FOUND,
    "42P01": HTTPStatus.NOT_FOUND,
    "25006": HTTPStatus.METHOD_NOT_ALLOWED,
    "P0001": HTTPStatus.BAD_REQUEST,
}
_STATUSES = frozenset(int(status) for status in HTTPStatus)


def status_of(error: errors.RowhouseError) -> HTTPStatus:
    if isinstance(error, errors.RaisedByFunction):
        return _status_of_raised(error)
    if (status := _STATUS_OF_CODE.get(error.stable_code)) is not None:
        return status
    return next(
        (STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _status_of_raised(error: errors.RaisedByFunction) -> HTTPStatus:
    """As PostgREST; but an error is never answered with the status of a success."""
    if error.status is not None:
        is_known = error.status >= 400 and error.status in _STATUSES
        return HTTPStatus(error.status) if is_known else HTTPStatus.INTERNAL_SERVER_ERROR
    state = error.stable_code
    return _STATUS_OF_RAISED.get(state) or _STATUS_OF_RAISED.get(state[:2], HTTPStatus.BAD_REQUEST)


def problem(
    error: errors.RowhouseError, request_id: str, status: HTTPStatus | None = None
) -> tuple[HTTPStatus, dict[str, str], bytes]:
    """Status, headers and body of the answer to an error. The status is that of its code unless another is given."""
    status = status or status_of(error)
    document: dict[str, object] = {
        "type": f"urn:rowhouse:problem:{error.stable_code}",
        "title": status.phrase,
        "status": status.value,
        "detail": error.message,
        "code": error.stable_code,
        "message": error.message,
        "details": error.details,
        "hint": error.hint,
        "request_id": request_id,
    }
    if error.fields:
        document["errors"] = [
            {"field": item.field, "message": item.message} | ({} if item.row is None else {"row": item.row})
            for item in error.fields
        ]
    if isinstance(error, errors.PreconditionFailed):
        document["current"] = None if error.current is None else orjson.Fragment(error.current)
    if isinstance(error, errors.TooManyRejected):
        document["rejected"] = error.rejected
    return status, _headers(error), orjson.dumps(document)


async def send_problem(error: errors.RowhouseError, scope: Scope, send: Send) -> None:
    """Answer an ASGI request with the error. A HEAD gets no body."""
    status, headers, body = problem(error, scope["rowhouse.request_id"])
    fields = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    fields.append((b"content-length", str(len(body)).encode()))
    # A WebSocket is refused with an answer of HTTP (ASGI, Websocket Denial Response).
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    await send({"type": f"{kind}.response.start", "status": status.value, "headers": fields})
    await send({"type": f"{kind}.response.body", "body": b"" if scope.get("method") == "HEAD" else body})


async def refuse(error: errors.RowhouseError, scope: Scope, send: Send) -> None:
    """Answer an ASGI request, or a WebSocket that is not opened, with the error."""
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await send_problem(error, scope, send)
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": error.stable_code})


def _headers(error: errors.RowhouseError) -> dict[str, str]:
    headers = {"content-type": PROBLEM_TYPE, "cache-control": "no-store"}
    match error:
        case errors.AuthenticationFailed():
            headers["www-authenticate"] = "Bearer"
        case errors.DatabaseUnavailable():
            headers["retry-after"] = str(error.retry_after)
        case errors.TooManyRequests():
            headers |= {"retry-after": str(error.retry_after)} | error.headers
        case errors.MethodNotAllowed():
            headers["allow"] = error.allow
        case errors.RangeNotSatisfiable(total=int() as total):
            headers["content-range"] = f"{error.unit} */{total}" if error.unit else f"*/{total}"
        case errors.PreconditionFailed(version=str() as version):
            headers["etag"] = f'"{version}"'
        case errors.RaisedByFunction():
            headers |= {
                name.lower(): value
                for name, value in error.headers.items()
                if may_be_set(name, value) and name.lower() != "content-type"
            }
    return headers
