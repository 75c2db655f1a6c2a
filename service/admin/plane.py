"""The table plane, asked within the process by whoever is logged in.

The back-office does nothing to a row that the API would not do for the same principal: policy, versions, history and
errors are those of the API because they are the API's.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

import orjson
from starlette.types import Receive, Scope

from service.api.v1.exchange import Answer, Request, replayed
from service.api.v1.paths import Path, parse_any_path
from service.auth.principal import Principal
from service.core.errors import InvalidQuery

_HTTP = {"type": "http", "http_version": "1.1", "headers": ()}


class Answering(Protocol):
    """What answers requests to the table plane of callers who are known."""

    async def answer(self, path: Path, request: Request) -> Answer: ...


class Plane:
    """Asks for one principal, as part of one request of theirs."""

    def __init__(self, answering: Answering, scope: Scope, principal: Principal) -> None:
        self._answering = answering
        self._principal = principal
        kept = ("scheme", "client", "server", "rowhouse.request_id")
        self._scope = _HTTP | {name: scope[name] for name in kept if name in scope} | {"root_path": ""}

    async def ask(
        self,
        method: str,
        path: str,
        query: str = "",
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a request; `path` and `query` as they would be sent, `body` as JSON.

        Raises: as the table plane.
        """
        sent = b"" if body is None else orjson.dumps(body)
        given = {"content-type": "application/json"} | dict(headers or {})
        return await self.stream(method, path, query, replayed(sent), given)

    async def stream(self, method: str, path: str, query: str, receive: Receive, headers: Mapping[str, str]) -> Answer:
        """The same, with a body that comes as it is received."""
        parsed = parse_any_path(path.encode())
        if parsed is None:
            raise InvalidQuery("There is no such address.")
        scope = {
            **self._scope,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
        }
        fields = {name.lower().encode(): value.encode("latin-1", "replace") for name, value in headers.items()}
        fields.setdefault(b"accept", b"application/json")
        return await self._answering.answer(parsed, Request(scope, receive, self._principal, fields))

    async def read(self, path: str, query: str = "", headers: Mapping[str, str] | None = None) -> Any:
        """What a GET answers, its numbers as they were written."""
        return loaded((await self.ask("GET", path, query, headers=headers)).body)


def loaded(body: bytes | None) -> Any:
    """JSON whose numbers keep every digit."""
    return json.loads(body or b"null", parse_float=Decimal)


def header(answer: Answer, name: bytes) -> str | None:
    """A header of the answer."""
    return next((value.decode("latin-1") for given, value in answer.headers if given == name), None)
