"""Nothing lost, nothing twice: the live feed under writers, crashes and restarts.

    python -m loadtests.feed_integrity --seconds 300

16 writers change a table, half of them through the API and half beside it: single rows, hot rows, keys that change,
bulk inserts, TRUNCATE, transactions that are rolled back, and one that stays open for long. Meanwhile the processes of
the service are killed (-9), and PostgreSQL is stopped and started. Subscribers by every transport reconnect with their
last id. In the end each must have seen what the log holds: each change once, those of a row in order.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import monotonic, sleep

import asyncpg
import httpx2
import orjson
import websockets
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deploy.ports import free_port
from service.db import migrations
from service.db.embedded import EmbeddedPostgres, start_embedded
from service.db.migrations import Branch
from service.db.privileges import open_schemas

_TABLES = """
create table ledger (id bigint primary key, writer int not null, mark text not null);
create table scratch (id bigint generated always as identity primary key, mark text not null);
insert into ledger select -n, -1, 'start' from generate_series(1, 5) n;
select rowhouse.track('ledger'), rowhouse.track('scratch');
"""
_FEED = "/api/v1/-/changes?tables=ledger,scratch"
_PROCESSES = 2
_WRITERS = 16
_BULK_ROWS = 400
_LONG_SECONDS = 6.0
_STILL_SECONDS = 15.0
_STEP_SECONDS = 0.25
_UNDONE = "undone"
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@dataclass(slots=True)
class Subscriber:
    """What one client has seen: the numbers of the changes in their order, with key and mark."""

    name: str
    seen: list[tuple[int, str, str]] = field(default_factory=list)
    last_id: str | None = None
    connections: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def take(self, event: dict[str, object]) -> None:
        kind = str(event["type"])
        if identity := event.get("id"):
            self.last_id = str(identity)
        if kind in ("insert", "update", "delete"):
            number = int(str(event["id"]).rpartition(".")[2])
            row = event.get("row")
            mark = str(row["mark"]) if isinstance(row, dict) else ""
            self.seen.append((number, f"{event['table']}{orjson.dumps(event['key']).decode()}", mark))
        else:
            self.others[kind] += 1


@dataclass(slots=True)
class Verdict:
    """How many changes the log holds, and how far each subscriber's are from these."""

    logged: int
    rows: list[tuple[Subscriber, int, int, int, int]]
    marks_lost: int
    writes: Counter[str]
    crashes: Counter[str]

    @property
    def is_whole(self) -> bool:
        return self.logged > 0 and not self.marks_lost and not any(sum(row[1:]) for row in self.rows)


class Run:
    """One run, on a PostgreSQL and with processes of its own."""

    def __init__(self, postgres: EmbeddedPostgres, folder: Path, seconds: float) -> None:
        self.postgres = postgres
        self.folder = folder
        self.seconds = seconds
        self.ends_at = inf  # the time counts from when all follow
        self.ports = [free_port() for _ in range(_PROCESSES)]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.subscribers: list[Subscriber] = []
        self.committed: set[str] = set()
        self.writes: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.is_over = False

    @property
    def is_writing(self) -> bool:
        return monotonic() < self.ends_at

    def start_process(self, number: int) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "DATABASE_URL": self.postgres.service_url,
            "JWT_SECRET": "integrity-integrity-integrity-integrity",
            "ANONYMOUS_ROLE": "admin",
            "RATE_LIMIT": "100000000",
            "LOG_LEVEL": "ERROR",
            "ACCESS_LOG": "false",
            "FEED_QUEUE": "500",  # small, so that there are gaps as well
        }
        command = [str(Path(sys.executable).with_name("rowhouse")), "serve", "--port", str(self.ports[number])]
        with (self.folder / f"process{number}.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    async def run(self) -> Verdict:
        self.processes = [self.start_process(number) for number in range(_PROCESSES)]
        try:
            async with asyncio.TaskGroup() as group:
                followers = [group.create_task(self._follow(number)) for number in range(6)]
                await self._all_connected()
                self.ends_at = monotonic() + self.seconds
                writers = [group.create_task(self._write(number)) for number in range(_WRITERS)]
                writers.append(group.create_task(self._long_transactions()))
                await self._crash()
                await asyncio.wait(writers)
                logged = await self._logged()
                await self._until_all_have(logged)
                self.is_over = True
                for follower in followers:
                    follower.cancel()
            return self._judge(logged)
        finally:
            for process in self.processes:
                process.kill()
                process.wait()

    # --- chaos

    async def _crash(self) -> None:
        turn = 0
        while self.is_writing:
            await asyncio.sleep(3)
            turn += 1
            if turn % 4 == 2:
                self.crashes["PostgreSQL stopped"] += 1
                await asyncio.to_thread(self._restart_postgres)
            else:
                self.crashes["process killed"] += 1
                number = random.randrange(_PROCESSES)
                self.processes[number].kill()
                self.processes[number].wait()
                self.processes[number] = self.start_process(number)

    def _restart_postgres(self) -> None:
        server = self.postgres.server
        info = server.get_postmaster_info()
        assert info is not None
        os.kill(info.pid, random.choice((2, 3)))  # fast, or immediate: as after a crash
        while Path(f"/proc/{info.pid}").exists():
            sleep(0.05)
        server.ensure_postgres_running()

    # --- writers

    async def _write(self, number: int) -> None:
        way = self._through_api if number % 2 else self._beside
        step = 0
        while self.is_writing:
            step += 1
            try:
                await way(number, step)
            except (*_LOST, httpx2.HTTPError):
                self.writes["broken off"] += 1
                await asyncio.sleep(0.2)

    async def _through_api(self, number: int, step: int) -> None:
        port = self.ports[random.randrange(_PROCESSES)]
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=20) as client:
            for turn in range(25):
                if not self.is_writing:
                    return
                mark = f"{number}.{step}.{turn}"
                await self._one_request(client, number, mark, turn)

    async def _one_request(self, client: httpx2.AsyncClient, number: int, mark: str, turn: int) -> None:
        identity = number * 10**9 + random.randrange(10**8)
        row = {"id": identity, "writer": number, "mark": mark}
        match turn % 5:
            case 0 | 1:
                answer = await client.post("/ledger", json=row)
            case 2:
                answer = await client.patch(f"/ledger/-{random.randint(1, 5)}", json={"mark": mark})
            case 3:
                rows = [{**row, "id": identity + place, "mark": f"{mark}.{place}"} for place in range(20)]
                answer = await client.post("/ledger", json=rows)
            case _:
                answer = await client.delete("/ledger", params={"writer": f"eq.{number}", "mark": "like.*.7"})
        self._count(answer.status_code, mark if turn % 5 in (0, 1, 2) else None, "through the API")

    def _count(self, status: int, mark: str | None, way: str) -> None:
        if status < 300:
            self.writes[way] += 1
            if mark is not None:
                self.committed.add(mark)
        elif status == 503:
            self.writes["broken off"] += 1
        elif status not in (404, 409):
            raise AssertionError(f"a write was answered {status}")

    async def _beside(self, number: int, step: int) -> None:
        connection = await asyncpg.connect(self.postgres.owner_url, timeout=5)
        try:
            for turn in range(25):
                if self.is_writing:
                    await self._one_statement(connection, number, f"{number}.{step}.{turn}", turn)
        finally:
            connection.terminate()

    async def _one_statement(
        self, connection: "asyncpg.Connection[asyncpg.Record]", number: int, mark: str, turn: int
    ) -> None:
        identity = number * 10**9 + random.randrange(10**8)
        match turn % 6:
            case 0 | 1:
                await connection.execute("insert into ledger values ($1, $2, $3)", identity, number, mark)
                self.committed.add(mark)
            case 2:
                await connection.execute("update ledger set mark = $2 where id = $1", -random.randint(1, 5), mark)
                self.committed.add(mark)
            case 3:
                with suppress(_Undo):
                    async with connection.transaction():
                        await connection.execute(
                            "update ledger set mark = $2 where id = $1", -random.randint(1, 5), _UNDONE
                        )
                        raise _Undo
                self.writes["rolled back"] += 1
            case 4:
                # The key of a row changes, and another row goes.
                await connection.execute(
                    "update ledger set id = id + 500000000 where id in "
                    "(select id from ledger where writer = $1 and id % 1000000000 < 500000000 limit 1)",
                    number,
                )
                await connection.execute(
                    "delete from ledger where id in (select id from ledger where writer = $1 limit 3)", number
                )
            case _:
                await self._much(connection, number, mark)
        self.writes["beside it"] += 1

    async def _much(self, connection: "asyncpg.Connection[asyncpg.Record]", number: int, mark: str) -> None:
        if number == 0 and random.random() < 0.5:
            self.writes["truncated"] += 1
            await connection.execute("truncate scratch")
            return
        self.writes["bulk"] += 1
        await connection.execute(
            "insert into scratch (mark) select $1::text || '.' || n from generate_series(1, $2::int) n",
            mark,
            _BULK_ROWS,
        )

    async def _long_transactions(self) -> None:
        """One is open at nearly all times."""
        turn = 0
        while self.is_writing:
            turn += 1
            mark = f"long.{turn}"
            with suppress(*_LOST):
                connection = await asyncpg.connect(self.postgres.owner_url, timeout=5)
                try:
                    async with connection.transaction():
                        await connection.execute("insert into ledger values ($1, 99, $2)", 99 * 10**9 + turn, mark)
                        await asyncio.sleep(min(_LONG_SECONDS, max(0.0, self.ends_at - monotonic())))
                    self.committed.add(mark)
                    self.writes["long"] += 1
                finally:
                    connection.terminate()
            await asyncio.sleep(0.1)

    # --- subscribers

    async def _follow(self, number: int) -> None:
        ways: list[Callable[[Subscriber, int], Awaitable[None]]] = [self._by_events, self._by_socket, self._by_poll]
        way = ways[number % 3]
        subscriber = Subscriber(f"{('SSE', 'WebSocket', 'poll')[number % 3]} {number // 3 + 1}")
        self.subscribers.append(subscriber)
        turn = number
        while not self.is_over:
            turn += 1
            with suppress(OSError, httpx2.HTTPError, websockets.WebSocketException, TimeoutError):
                await way(subscriber, self.ports[turn % _PROCESSES])
            await asyncio.sleep(0.1)

    async def _by_events(self, subscriber: Subscriber, port: int) -> None:
        headers = {"Accept": "text/event-stream"} | (
            {"Last-Event-ID": subscriber.last_id} if subscriber.last_id else {}
        )
        async with (
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=httpx2.Timeout(5, read=30)) as client,
            client.stream("GET", _FEED, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                return
            subscriber.connections += 1
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    subscriber.take(orjson.loads(line.removeprefix("data: ")))

    async def _by_socket(self, subscriber: Subscriber, port: int) -> None:
        cursor = f"&cursor={subscriber.last_id}" if subscriber.last_id else ""
        async with websockets.connect(
            f"ws://127.0.0.1:{port}{_FEED}{cursor}", max_size=None, open_timeout=5
        ) as socket_:
            subscriber.connections += 1
            async for message in socket_:
                subscriber.take(orjson.loads(message))

    async def _by_poll(self, subscriber: Subscriber, port: int) -> None:
        cursor = f"&cursor={subscriber.last_id}" if subscriber.last_id else ""
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            answer = await client.get(f"{_FEED}&wait=2{cursor}")
        if answer.status_code == 200:
            subscriber.connections += 1
            body = answer.json()
            for event in body["events"]:
                subscriber.take(event)
            subscriber.last_id = body["cursor"]
        elif answer.status_code != 503:
            raise AssertionError(f"a poll was answered {answer.status_code}: {answer.text[:200]}")

    async def _all_connected(self) -> None:
        last = monotonic() + 30
        while len(self.subscribers) < 6 or any(one.last_id is None for one in self.subscribers):
            if monotonic() > last:
                raise TimeoutError(f"The service does not start; see {self.folder}/process0.log.")
            await asyncio.sleep(0.1)

    # --- the verdict

    async def _logged(self) -> list[tuple[int, str, str]]:
        connection = await asyncpg.connect(self.postgres.owner_url)
        try:
            rows = await connection.fetch(
                "select c.seq, t.name, c.key, coalesce(c.now, c.was) ->> 'id' as id, c.now ->> 'mark' as mark "
                "from rowhouse.changes c join rowhouse.tracked t on t.id = c.tracked order by c.seq"
            )
        finally:
            await connection.close()
        table = {"public.ledger": "ledger", "public.scratch": "scratch"}
        return [(row["seq"], f'{table[row["name"]]}{{"id":{row["id"]}}}', row["mark"] or "") for row in rows]

    async def _until_all_have(self, logged: list[tuple[int, str, str]]) -> None:
        """Until they have, or until nothing has come for a while."""
        seen, still = 0, 0.0
        while still < _STILL_SECONDS and min(len(one.seen) for one in self.subscribers) < len(logged):
            await asyncio.sleep(_STEP_SECONDS)
            before, seen = seen, sum(len(one.seen) for one in self.subscribers)
            still = still + _STEP_SECONDS if seen == before else 0.0
        await asyncio.sleep(1)  # for what would come twice

    def _judge(self, logged: list[tuple[int, str, str]]) -> Verdict:
        rows = []
        expected = dict((seq, (key, mark)) for seq, key, mark in logged)
        for one in self.subscribers:
            numbers = Counter(seq for seq, _, _ in one.seen)
            lost = len(expected.keys() - numbers.keys())
            twice = sum(count - 1 for count in numbers.values())
            foreign = sum(1 for seq, key, mark in one.seen if expected.get(seq) != (key, mark) or mark == _UNDONE)
            rows.append((one, lost, twice, _out_of_order(one.seen), foreign))
        marks = {mark for _, _, mark in logged}
        return Verdict(len(logged), rows, len(self.committed - marks), self.writes, self.crashes)


class _Undo(Exception):
    """Ends a transaction that is to leave nothing behind."""


def _out_of_order(seen: list[tuple[int, str, str]]) -> int:
    """Changes of a row that came behind a later one of the same row."""
    latest: dict[str, int] = {}
    count = 0
    for seq, key, _ in seen:
        count += seq < latest.get(key, 0)
        latest[key] = max(seq, latest.get(key, 0))
    return count


async def run(seconds: float, folder: Path) -> Verdict:
    """Run for so long. The folder holds the database and the processes' logs."""
    postgres = await start_embedded(folder)
    try:
        await migrations.migrate(postgres.owner_url, (Branch.ROWHOUSE,))
        connection = await asyncpg.connect(postgres.owner_url)
        await connection.execute(_TABLES)
        await connection.close()
        await open_schemas(postgres.owner_url, ("public",), 5)
        return await Run(postgres, folder, seconds).run()
    finally:
        await asyncio.to_thread(postgres.release)


def show(verdict: Verdict, console: Console) -> None:
    """The counts, as a table."""
    writes = ", ".join(f"{count} {name}" for name, count in sorted(verdict.writes.items()))
    crashes = ", ".join(f"{count} times {name}" for name, count in sorted(verdict.crashes.items()))
    console.print(f"Writes: {writes}.\n{crashes}.\nChanges in the log: {verdict.logged}.", highlight=False)
    table = Table("Subscriber", "Calls", "Gaps", "Seen", "Lost", "Twice", "Disordered", "Unknown")
    for one, *counts in verdict.rows:
        table.add_row(one.name, str(one.connections), str(one.others["gap"]), str(len(one.seen)), *map(str, counts))
    console.print(table)
    console.print(f"Committed writes that the log lacks: {verdict.marks_lost}.", highlight=False)
    console.print("[green]Whole.[/]" if verdict.is_whole else "[bold red]Not whole.[/]")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300, help="how long to write")
    seconds = parser.parse_args().seconds
    console = Console()
    with tempfile.TemporaryDirectory(prefix="rowhouse-") as folder, Progress(console=console, transient=True) as bar:
        bar.add_task("Writing, crashing, following", total=None)
        os.chmod(folder, 0o755)  # noqa: S103 (the server has a user of its own)
        verdict = asyncio.run(run(seconds, Path(folder)))
    show(verdict, console)
    sys.exit(0 if verdict.is_whole else 1)


if __name__ == "__main__":
    main()
