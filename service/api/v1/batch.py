"""`POST /api/v1/-/batch`: operations on several tables, all of them or none.

    {"operations": [
      {"method": "POST", "path": "/orders", "body": {"customer": 7}},
      {"method": "POST", "path": "/lines", "body": {"order_id": {"$ref": "/0/body/0/id"}, "article": "A"}}
    ]}

A later operation refers to what an earlier one answered by a JSON Pointer (RFC 6901) into the list of results: in a
body as `{"$ref": …}`, in a path as `{…}`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from service.api.v1.body import parse_json
from service.api.v1.dispatch import Dispatch
from service.api.v1.exchange import Answer, Request, replayed
from service.api.v1.paths import PREFIX, BatchPath, FunctionPath, HistoryPath, Path, UndoPath, parse_any_path
from service.core.errors import FieldError, InvalidBody, LimitExceeded, MethodNotAllowed, RowhouseError
from service.core.settings import ApiSettings

_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
_REFERENCE = re.compile(r"\{(/[^{}]*)\}")
_KEPT_HEADERS = (b"location", b"etag", b"content-range", b"preference-applied")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as written. `path` is below `/api/v1`, with its query string."""

    method: str
    path: str
    body: object
    headers: Mapping[str, str]

    @property
    def target(self) -> Path | None:
        """What it is about, wherever its references lead."""
        path, _, _ = _REFERENCE.sub("x", self.path).partition("?")
        return _path(path)

    def header(self, name: str) -> str | None:
        return next((value for given, value in self.headers.items() if given.lower() == name), None)


class Batch:
    """Runs the operations one after the other, on a dispatch within a transaction."""

    def __init__(self, dispatch: Dispatch, settings: ApiSettings) -> None:
        self._dispatch = dispatch
        self._settings = settings

    async def serve(self, path: BatchPath, request: Request) -> Answer:
        """The results, in order: status, headers and body of each.

        Raises:
            MethodNotAllowed: it is no POST.
            InvalidBody: it is no batch.
            RowhouseError: what the first operation that failed raises; `errors` says which.
        """
        request.scope["rowhouse.route"] = path.route
        if request.method != "POST":
            raise MethodNotAllowed(f"This does not take {request.method}.", allow="POST")
        operations = operations_of(await request.body(self._settings.api_max_body_bytes))
        if len(operations) > self._settings.api_max_batch:
            raise InvalidBody(f"A batch has at most {self._settings.api_max_batch} operations.")
        answers = _Answers()
        for number, operation in enumerate(operations):
            with _named(number):
                answers.add(await self._serve_one(operation, request, answers))
        return Answer(200, orjson.dumps([_result(answer, _body(answer)) for answer in answers.given]))

    async def _serve_one(self, operation: Operation, request: Request, answers: "_Answers") -> Answer:
        longest = self._settings.api_max_url_bytes
        in_path = _References(answers, longest)
        if len(operation.path) > longest:
            raise LimitExceeded("Path and query string are too long.", code="url_too_long")
        raw = _REFERENCE.sub(lambda match: quote(_text(in_path.found(match[1])), safe=""), operation.path)
        path_text, _, query = raw.partition("?")
        path = _path(path_text)
        if path is None or isinstance(path, BatchPath | HistoryPath | UndoPath):
            raise InvalidBody(f"{operation.path!r} is no path of a table or function.")
        if any(name.lower() == "accept" for name in operation.headers):
            raise InvalidBody("The answers of a batch are JSON: leave out Accept.")
        if isinstance(path, FunctionPath) and operation.method != "POST":
            raise InvalidBody("Functions are called by POST in a batch.")
        body = b"" if operation.body is None else self._body(operation, answers)
        headers = {
            name.lower().encode(): value.encode("latin-1", "replace") for name, value in operation.headers.items()
        }
        headers[b"accept"] = b"application/json"  # a function may have another for those who do not say
        own = {"method": operation.method, "path": path_text, "query_string": query.encode()}
        scope = {**request.scope, **own}
        return await self._dispatch.serve(path, Request(scope, replayed(body), request.principal, headers))

    def _body(self, operation: Operation, answers: "_Answers") -> bytes:
        return _dumped(_resolved(operation.body, _References(answers, self._settings.api_max_body_bytes)))


def require_all(operations: list[Operation], require: Callable[[Operation], None]) -> None:
    """Ask for each operation whether it may be done. Raises: what `require` does; `errors` says of which."""
    for number, operation in enumerate(operations):
        with _named(number):
            require(operation)


@contextmanager
def _named(number: int) -> Iterator[None]:
    """Say of an error which operation it is of."""
    try:
        yield
    except RowhouseError as error:
        error.fields = (FieldError(f"operations[{number}]", error.message), *error.fields)
        raise


def _path(text: str) -> Path | None:
    return parse_any_path(PREFIX.encode() + text.lstrip("/").encode())


class _Answers:
    """What was answered so far; parsed once, and only where it is referred to."""

    def __init__(self) -> None:
        self.given: list[Answer] = []
        self._parsed: list[dict[str, object]] = []

    def add(self, answer: Answer) -> None:
        self.given.append(answer)

    def parsed(self) -> list[dict[str, object]]:
        for answer in self.given[len(self._parsed) :]:
            self._parsed.append(_result(answer, _loaded(answer)))
        return self._parsed


class _References:
    """What one operation refers to. All of it together is at most so many bytes: a few references to a large answer
    would fill the memory.
    """

    def __init__(self, answers: _Answers, most: int) -> None:
        self._answers = answers
        self._most = self._left = most
        self._known: dict[str, tuple[object, int]] = {}

    def found(self, pointer: str) -> object:
        """What a JSON Pointer leads to.

        Raises:
            InvalidBody: it leads nowhere.
            LimitExceeded: it is too much.
        """
        if pointer not in self._known:
            value = _found(pointer, self._answers)
            self._known[pointer] = (value, len(_dumped(value)))
        value, size = self._known[pointer]
        self._left -= size
        if self._left < 0:
            raise LimitExceeded(f"What is referred to is larger than {self._most} bytes.", code="body_too_large")
        return value


def operations_of(body: bytes) -> list[Operation]:
    """The operations of a body.

    Raises:
        InvalidBody: it has none, or one that cannot be read.
    """
    value = parse_json(body)
    listed = value.get("operations") if isinstance(value, dict) else None
    if not isinstance(listed, list) or not listed:
        raise InvalidBody('The body must be {"operations": […]}, with at least one.')
    return [_operation(number, item) for number, item in enumerate(listed)]


def _operation(number: int, item: object) -> Operation:
    where = f"operations[{number}]"
    if not isinstance(item, dict) or item.keys() - {"method", "path", "body", "headers"}:
        raise InvalidBody(f"{where} must be an object of method, path, body and headers.")
    method, path, headers = item.get("method"), item.get("path"), item.get("headers", {})
    if method not in _METHODS:
        raise InvalidBody(f"{where}: `method` must be one of {', '.join(_METHODS)}.")
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidBody(f"{where}: `path` must be a text such as '/table?column=eq.1'.")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise InvalidBody(f"{where}: `headers` must be an object of texts.")
    return Operation(method, path, item.get("body"), headers)


def _resolved(value: object, references: _References) -> object:
    """The value with what it refers to in place of the references."""
    if isinstance(value, dict):
        if value.keys() == {"$ref"} and isinstance(value["$ref"], str):
            return references.found(value["$ref"])
        return {name: _resolved(inner, references) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, references) for inner in value]
    return value


def _dumped(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        raise InvalidBody("A body is nested too deeply.") from None


def _found(pointer: str, answers: "_Answers") -> object:
    """What a JSON Pointer leads to.

    Raises:
        InvalidBody: it leads nowhere.
    """
    value: object = answers.parsed()
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 8 and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            raise InvalidBody(f"The reference {pointer!r} leads to nothing that was answered before.")
    return value


def _loaded(answer: Answer) -> object:
    try:
        return orjson.loads(answer.body or b"null")
    except orjson.JSONDecodeError:
        raise InvalidBody("What was answered is nested too deeply to be referred to.") from None


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _body(answer: Answer) -> object:
    """The body as it came: parsed numbers may have lost digits."""
    return orjson.Fragment(answer.body) if answer.body else None


def _result(answer: Answer, body: object) -> dict[str, object]:
    headers = {name.decode(): value.decode("latin-1") for name, value in answer.headers if name in _KEPT_HEADERS}
    return {"status": answer.status, "headers": headers, "body": body}
