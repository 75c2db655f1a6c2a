"""What a function may know of the request that calls it, and say of the answer, as settings of PostgreSQL.

PostgREST's names and formats (its documentation, "Transactions").
"""

from http.cookies import CookieError, SimpleCookie

import orjson

from service.api.header_fields import may_be_set
from service.api.v1.exchange import Answer, Request
from service.core.errors import RaisedByFunction
from service.crud.read import SILENT, Said

# A function is another's work: it gets no credential.
_CREDENTIALS = frozenset({b"authorization", b"proxy-authorization", b"x-api-key", b"cookie"})


def of_request(request: Request, path: str) -> dict[str, str]:
    """`request.method`, `.path` (below `/api/v1`), `.headers` and `.cookies`, the latter as JSON objects.

    Nothing is said of the answer yet, also where several requests share a transaction.
    """
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in request.headers.items()
        if name not in _CREDENTIALS
    }
    return {
        "request.method": request.method,
        "request.path": path,
        "request.headers": orjson.dumps(headers).decode(),
        "response.status": "",
        "response.headers": "",
        "request.cookies": orjson.dumps(_cookies(request.header(b"cookie"))).decode(),
    }


def say(answer: Answer, said: Said) -> Answer:
    """The answer with the status and the headers that the function has set.

    Raises:
        RaisedByFunction: PGRST111 and PGRST112, it has set what cannot be read.
    """
    if said is SILENT:
        return answer
    if said.headers is not None:
        for name, value in _headers(said.headers):
            _set(answer, name, value)
    if said.status is not None:
        answer.status = _status(said.status)
    return answer


def _set(answer: Answer, name: str, value: str) -> None:
    if name == "content-type":
        answer.content_type = value.encode("latin-1")
        return
    if name != "set-cookie":
        answer.headers = [item for item in answer.headers if item[0] != name.encode()]
    answer.headers.append((name.encode(), value.encode("latin-1")))


def _headers(text: str) -> list[tuple[str, str]]:
    """The fields of `[{"name": "value"}, …]`, without those that are nobody else's to set."""
    try:
        fields = [next(iter(item.items())) for item in orjson.loads(text) if len(item) == 1 or _refuse()]
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        fields = _refuse()
    if not all(isinstance(value, str) for _, value in fields):
        _refuse()
    return [(name.lower(), value) for name, value in fields if may_be_set(name, value)]


def _refuse() -> list[tuple[str, str]]:
    raise RaisedByFunction(
        "response.headers guc must be a JSON array composed of objects with a single key and a string value",
        code="PGRST111",
        status=500,
    )


def _status(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) == 3 and 200 <= int(text) < 600):
        raise RaisedByFunction("response.status guc must be a valid status code", code="PGRST112", status=500)
    return int(text)


def _cookies(header: str | None) -> dict[str, str]:
    try:
        return {name: item.value for name, item in SimpleCookie(header or "").items()}
    except CookieError:
        return {}
