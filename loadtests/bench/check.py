"""Before the load: does each application do what it is about to be measured at?"""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from loadtests.bench.cases import Call, Case, calls
from loadtests.bench.client import Reply, ask
from loadtests.bench.database import FLIGHTS, Database
from loadtests.bench.errors import BenchError
from loadtests.bench.process import Running

_CALLS = 5
_WRITTEN = {Case.POST: "flight", Case.PATCH: "dep_delay"}


async def check_answers(servers: Sequence[Running], database: Database, cases: Sequence[Case]) -> None:
    """Every application must answer with what the database holds, and all with the same rows.

    Raises:
        BenchError: one does not.
    """
    numbers = itertools.count(1)
    for case in cases:
        ids = [await _ids_answered(case, server, database, numbers) for server in servers]
        if not case.is_write and any(answered != ids[0] for answered in ids):
            raise BenchError(f"{case.label}: the applications answer with different rows.")
    await database.tidy()


async def check_nothing_is_off(servers: Sequence[Running]) -> None:
    """Rowhouse must do its whole work: credentials, request ids, metrics, access log.

    Raises:
        BenchError: a part of it is off.
    """
    for server in servers:
        if server.app.is_rowhouse:
            await _check_whole(server)


async def _ids_answered(
    case: Case, server: Running, database: Database, numbers: "itertools.count[int]"
) -> list[object]:
    ids: list[object] = []
    for call, number in zip(itertools.islice(calls(case, server.app, FLIGHTS), _CALLS), numbers, strict=False):
        rows = await _rows_answered(case, server, call, number)
        found = [row["id"] for row in rows]
        if case is Case.EMBEDDED:
            await _check_embedded(server, database, rows)
        if rows != await database.flights(found):
            raise BenchError(f"{server.app.title}, {case.label}: the answer is not what the database holds.")
        if case in _WRITTEN and rows[0][_WRITTEN[case]] != number:
            raise BenchError(f"{server.app.title}, {case.label}: what was sent was not written.")
        ids += found
    return ids


async def _check_embedded(server: Running, database: Database, rows: list[dict[str, Any]]) -> None:
    """What is inside must be the flights' own; it is taken out."""
    inside = [(row.pop("airline"), row.pop("plane")) for row in rows]
    if inside != await database.details([row["id"] for row in rows]):
        raise BenchError(f"{server.app.title}: the embedded rows are not those of the database.")


async def _rows_answered(case: Case, server: Running, call: Call, number: int) -> list[dict[str, Any]]:
    reply = await ask(server.base, case.method, call.path, headers=server.headers, body=call.numbered(number))
    if reply.status != case.status:
        text = reply.body.decode(errors="replace")[:500]
        raise BenchError(f"{server.app.title}, {case.label}: {reply.status} for {call.path}\n{text}")
    answer = reply.json()
    rows = answer if isinstance(answer, list) else [answer]
    if len(rows) != (case.page_size or 1):
        raise BenchError(f"{server.app.title}, {case.label}: {len(rows)} rows, not {case.page_size or 1}.")
    # JSON writes a moment in more ways than one.
    return [row | {"time_hour": datetime.fromisoformat(row["time_hour"])} for row in rows]


async def _check_whole(server: Running) -> None:
    path = server.app.one_path(1)
    refused = await ask(server.base, "GET", path, headers={})
    if refused.status != 401:
        raise BenchError(f"Rowhouse answers {refused.status}, not 401, without a key.")
    reply = await ask(server.base, "GET", path, headers=server.headers)
    await _wait_for_log(server, reply.headers.get("x-request-id", ""))
    metrics = await ask(server.base, "GET", "/metrics", headers=server.headers)
    if not _counts(metrics):
        raise BenchError("Rowhouse counts no requests.")


async def _wait_for_log(server: Running, request_id: str) -> None:
    """The line is written behind the answer."""
    for _ in range(20):
        if _has_logged(server, request_id):
            return
        await asyncio.sleep(0.1)
    raise BenchError("Rowhouse wrote no line of its access log.")


def _has_logged(server: Running, request_id: str) -> bool:
    lines = (line for line in server.log.read_bytes().splitlines() if line.startswith(b"{"))
    return bool(request_id) and any(orjson.loads(line).get("request_id") == request_id for line in lines)


def _counts(metrics: Reply) -> bool:
    return metrics.status == 200 and b'http_requests_total{handler="/api/v1/flights/{key}",method="GET"' in metrics.body
