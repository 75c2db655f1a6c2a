"""The least that serves flights: an ASGI function, asyncpg with its own pool, JSON rendered by PostgreSQL.

It knows no authentication, no policy, no validation, and one query a path. What it reaches is the ceiling.
"""

import os
from urllib.parse import parse_qs

import asyncpg
import orjson
from starlette.types import Receive, Scope, Send

from loadtests.bench.apps import POOL_SIZE

_ONE = "select row_to_json(f) from flights f where id = $1"
_LIST = """
select coalesce(json_agg(f), '[]') from (select * from flights where id > $1 order by id limit $2) f
"""
_DETAILED = """
select coalesce(json_agg(d), '[]')
from (select f.*, row_to_json(a) as airline, row_to_json(p) as plane
      from (select * from flights where id > $1 order by id limit $2) f
      left join airlines a using (carrier) left join planes p using (tailnum) order by f.id) d
"""
_COLUMNS = """
year, month, day, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, arr_delay, carrier, flight, tailnum,
origin, dest, air_time, distance, hour, minute, time_hour
"""
_INSERT = f"""
with f as (insert into flights ({_COLUMNS}) select {_COLUMNS} from json_populate_record(null::flights, $1) returning *)
select json_agg(f) from f
"""  # noqa: S608 (our own names)
_UPDATE = "update flights f set dep_delay = $2 where id = $1 returning row_to_json(f)"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(scope, receive, send)
        return
    status, body = await _answer(scope, receive)
    if body is None:
        status, body = 404, '{"detail":"There is no such thing here."}'
    content = body.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _live(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=POOL_SIZE, max_size=POOL_SIZE, server_settings={"timezone": "UTC"}
    ) as scope["state"]["pool"]:
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(scope: Scope, receive: Receive) -> tuple[int, str | None]:
    pool = scope["state"]["pool"]
    _, table, *key = scope["path"].split("/")
    match scope["method"], table, key:
        case "GET", "flights", []:
            return 200, await pool.fetchval(_LIST, *_page(scope))
        case "GET", "flights", ["detailed"]:
            return 200, await pool.fetchval(_DETAILED, *_page(scope))
        case "GET", "flights", [number]:
            return 200, await pool.fetchval(_ONE, int(number))
        case "POST", "flights", []:
            return 201, await pool.fetchval(_INSERT, (await _read(receive)).decode())
        case "PATCH", "flights", [number]:
            delay = orjson.loads(await _read(receive))["dep_delay"]
            return 200, await pool.fetchval(_UPDATE, int(number), delay)
    return 404, None


def _page(scope: Scope) -> tuple[int, int]:
    query = parse_qs(scope["query_string"])
    return int(query[b"after"][0]), int(query[b"limit"][0])


async def _read(receive: Receive) -> bytes:
    message = await receive()
    parts = [message["body"]]
    while message["more_body"]:
        message = await receive()
        parts.append(message["body"])
    return b"".join(parts)
