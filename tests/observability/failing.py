"""The production application with ways to fail that nobody has foreseen, as a process of its own."""

import asyncio
import logging

import asyncpg
import structlog
from fastapi import Request, WebSocket

from service.api.dependencies import identify
from service.application import create_app
from service.state import ServiceState

app = create_app()
_last: list[asyncio.Task[None]] = []


@app.post("/fails/{way}", include_in_schema=False)
async def fails(way: str, request: Request) -> None:
    """What the caller sends is in local variables, and for some of these in the error's words."""
    state: ServiceState = app.state.service
    body = await request.body()
    secret = body.decode()
    structlog.get_logger().info("about_to_fail", way=way, headers=dict(request.headers), password=secret)
    match way:
        case "words":
            raise RuntimeError(f"cannot log in with {secret}")
        case "value":
            await _write(state.service_url(), secret)
        case "library":
            logging.getLogger("some.library").warning("connecting to %s", secret)
        case "task":
            _last[:] = [asyncio.create_task(_fail(secret))]  # the one before it is let go
        case "known":
            await identify(request, state, state.connected())
            raise RuntimeError("somebody known")


@app.websocket("/fails/{when}")
async def fails_open(when: str, socket: WebSocket) -> None:
    if when == "later":
        await socket.accept()
    raise RuntimeError(when)


async def _fail(secret: str) -> None:
    raise ValueError(secret)


async def _write(url: str, value: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create temp table held (value text primary key)")
        for _ in range(2):
            await connection.execute("insert into held values ($1)", value)
    finally:
        await connection.close()
