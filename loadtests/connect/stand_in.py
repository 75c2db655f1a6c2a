"""Posit Connect as `rsconnect deploy` sees it: the calls that it makes, and content under `/content/GUID/`."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

from loadtests.connect.content import Bundle, Content, Install, Refused
from loadtests.exchange import Asked

VERSION = "2026.10.0"
_CONTENT = re.compile(r"/content/(?P<guid>[0-9a-f-]{36})(?P<bundle>/_bundle\d+)?(?P<path>/.*|$)")
_API = "/__api__/"
# What Connect says of a request; a client's own under these names never get through.
_CONNECTS_OWN = ("rstudio-connect-app-base-url", "rstudio-connect-credentials", "x-rsc-request")


class StandIn:
    """One server. `keys` are its users' names by their API keys; `calls` is what it was asked."""

    def __init__(self, folder: Path, keys: Mapping[str, str], install: Install, *, keeps_prefix: bool = False) -> None:
        self.calls: list[str] = []
        self.contents: dict[str, Content] = {}
        self.url = ""
        self._folder = folder
        self._keys = keys
        self._install = install
        self._keeps_prefix = keeps_prefix
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._output: dict[str, list[str]] = {}
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                asked = await Asked.read(reader, writer)
                if found := _CONTENT.fullmatch(asked.target.partition("?")[0]):
                    await self._visit(asked, found)
                elif asked.target.startswith(_API):
                    await self._manage(asked)
                else:
                    await asked.answer(HTTPStatus.NOT_FOUND, {"error": "There is nothing here."})
        finally:
            writer.close()

    async def stop(self) -> None:
        for task in (*self._tasks.values(), *self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        for content in self.contents.values():
            await content.stop()

    async def _manage(self, asked: Asked) -> None:
        path = asked.target.removeprefix(_API).partition("?")[0]
        self.calls.append(f"{asked.method} {re.sub('[0-9a-f-]{36}', 'GUID', path)}")
        user, body = self._user(asked), await asked.body()
        if user is None and path != "server_settings":
            await asked.answer(HTTPStatus.UNAUTHORIZED, {"code": 30, "error": "The API key is not valid."})
            return
        try:
            await asked.answer(HTTPStatus.OK, self._answer(asked.method, path.split("/"), user or "", body))
        except (Refused, KeyError) as error:
            await asked.answer(HTTPStatus.BAD_REQUEST, {"code": 1, "error": f"{error}"})

    def _answer(self, method: str, path: list[str], user: str, body: bytes) -> Any:
        match method, path:
            case "GET", ["server_settings"]:
                return {"version": VERSION}
            case "GET", ["v1", "user"]:
                return {"username": user, "user_role": "publisher"}
            case "POST", ["v1", "content"]:
                content = Content(str(uuid4()), json.loads(body)["name"])
                self.contents[content.guid] = content
                return self._described(content)
            case "GET", ["v1", "content"]:  # to find a name that is free
                return [self._described(content) for content in self.contents.values()]
            case "GET", ["v1", "content", guid]:
                return self._described(self.contents[guid])
            case "PATCH", ["v1", "content", guid]:
                self.contents[guid].title = json.loads(body).get("title")
                return self._described(self.contents[guid])
            case "PATCH", ["v1", "content", guid, "environment"]:
                self.contents[guid].environment |= {one["name"]: one["value"] for one in json.loads(body)}
                return sorted(self.contents[guid].environment)
            case "POST", ["v1", "content", guid, "bundles"]:
                return {"id": self.contents[guid].unpack(body, self._folder).id}
            case "POST", ["v1", "content", guid, "deploy"]:
                asked = json.loads(body)
                return self._begin(self.contents[guid], asked["bundle_id"], is_active=asked.get("activate", True))
            case "GET", ["v1", "tasks", task]:
                return self._progress(task)
        raise Refused(f"The stand-in does not know {method} {'/'.join(path)}.")

    def _begin(self, content: Content, number: str, *, is_active: bool) -> dict[str, str]:
        name, bundle = uuid4().hex, content.bundles[number]
        self._output[name] = []
        self._tasks[name] = asyncio.create_task(self._deploy(name, content, bundle, is_active=is_active))
        return {"task_id": name}

    async def _deploy(self, name: str, content: Content, bundle: Bundle, *, is_active: bool) -> None:
        if bundle.python is None:
            bundle.python = await self._install(bundle.folder, self._output[name].append)
        if is_active:
            content.active = bundle.id
            self._output[name].append(f"Bundle {bundle.id} is active.")

    def _progress(self, name: str) -> dict[str, object]:
        task, output = self._tasks[name], self._output[name]
        error = task.exception() if task.done() else None
        return {
            "id": name,
            "output": output,
            "last": len(output),
            "finished": task.done(),
            "code": 1 if error else 0,
            "error": str(error) if error else "",
        }

    async def _visit(self, asked: Asked, found: "re.Match[str]") -> None:
        content = self.contents.get(found["guid"])
        number = found["bundle"].removeprefix("/_bundle") if found["bundle"] else content and content.active
        bundle = content.bundles.get(number or "") if content else None
        if content is None or bundle is None or bundle.python is None:
            await asked.answer(HTTPStatus.NOT_FOUND, {"error": "There is no such content."})
            return
        try:
            await content.run(bundle, self.url)
        except Refused as error:
            await asked.answer(HTTPStatus.BAD_GATEWAY, {"error": str(error)})
            return
        prefix = f"/content/{content.guid}{found['bundle'] or ''}"
        target = asked.target if self._keeps_prefix else asked.target.removeprefix(prefix) or "/"
        headers = [(name, value) for name, value in asked.headers if name.lower() not in _CONNECTS_OWN]
        headers += [
            ("RStudio-Connect-App-Base-URL", f"{self.url}{prefix}/"),
            ("X-RSC-Request", self.url + asked.target),
        ]
        if user := self._user(asked):
            headers.append(("RStudio-Connect-Credentials", json.dumps({"user": user, "groups": []})))
        await asked.pass_on(bundle.port, target, headers)

    def _user(self, asked: Asked) -> str | None:
        return self._keys.get((asked.header("authorization") or "").removeprefix("Key "))

    def _described(self, content: Content) -> dict[str, object]:
        return {
            "guid": content.guid,
            "id": content.guid,
            "name": content.name,
            "title": content.title,
            "app_mode": 12,  # as rsconnect numbers FastAPI
            "content_url": f"{self.url}/content/{content.guid}/",
            "dashboard_url": f"{self.url}/connect/#/apps/{content.guid}",
        }


@asynccontextmanager
async def standing_in(
    folder: Path, keys: Mapping[str, str], install: Install, *, keeps_prefix: bool = False
) -> AsyncIterator[StandIn]:
    """The stand-in on a free port of loopback, until the block ends."""
    stand_in = StandIn(folder, keys, install, keeps_prefix=keeps_prefix)
    server = await asyncio.start_server(stand_in.serve, "127.0.0.1", 0, limit=1 << 20)
    stand_in.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield stand_in
    finally:
        server.close()
        await stand_in.stop()
