"""Nothing lost, nothing out of order: webhooks under crashes.

    python -m loadtests.webhook_integrity --changes 10000

Writers change a table: inserts, updates of few rows again and again, keys that change, deletes, transactions that are
rolled back. Three workers deliver to three receivers, and are killed (-9) at random while they do. The receivers verify
signatures, answer 500 now and then, break off without an answer, and are slow. In the end each must have been sent what
the log holds, the changes of a row in order; what comes twice must have the same id.
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Annotated
from uuid import UUID

import asyncpg
import orjson
import typer
from rich.console import Console
from rich.table import Table
from standardwebhooks import Webhook, WebhookVerificationError

from service.db import migrations
from service.db.embedded import EmbeddedPostgres, start_embedded
from service.db.migrations import Branch
from service.db.privileges import open_schemas
from service.subscriptions.message import Secrets

_TABLE = """
create table parcels (id bigint primary key, note text not null);
select rowhouse.track('parcels');
select rowhouse.begin_life();
insert into rowhouse.api_keys (name, prefix, key_hash, role) values ('integrity', 'rh_integrity', '\\x00', 'admin');
"""
_ADD = """
insert into rowhouse.webhooks
    (url, table_name, filter, events, description, owner_kind, owner_id, owner_name, owner_role)
values ($1, 'parcels', '', '{insert,update,delete}', '', 'key', 'rh_integrity', 'integrity', 'admin') returning id
"""
_HAS_WORKED = "select exists (select from rowhouse.deliveries where worker like $1)"
_LOGGED = "select seq from rowhouse.changes order by seq"
_WORKER = """
import asyncio
from service.core.settings import Settings
from service.cli.worker import work
asyncio.run(work(Settings.load(env_file=None)))
"""
_SECRET = "integrity-integrity-integrity-integrity"  # noqa: S105 (of a database that is thrown away)
_WORKERS = 3
_RECEIVERS = 3
_WRITERS = 4
_ROWS = 200
_KILL_SECONDS = (2.0, 5.0)
_STILL_SECONDS = 60.0


@dataclass(slots=True)
class Receiver:
    """What one receiver was sent. `numbers` are those of the changes, in the order in which they came first."""

    webhook: UUID | None = None
    verifier: Webhook | None = None
    requests: int = 0
    ids: dict[int, set[str]] = field(default_factory=dict)
    latest: dict[str, int] = field(default_factory=dict)
    accepted: set[int] = field(default_factory=set)
    disordered: int = 0
    unverified: int = 0

    @property
    def repeated(self) -> int:
        return self.requests - len(self.ids)

    @property
    def under_two_ids(self) -> int:
        return sum(len(ids) > 1 for ids in self.ids.values())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
            body = await reader.readexactly(int(headers["content-length"]))
            number = self._take(headers, body)
            await self._answer(writer, number)
        writer.close()

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        assert self.verifier is not None
        try:
            self.verifier.verify(body, headers)
        except WebhookVerificationError:
            self.unverified += 1
        self.requests += 1
        event = orjson.loads(body)["data"]
        number = int(event["id"].rpartition(".")[2])
        self.ids.setdefault(number, set()).add(headers["webhook-id"])
        keys = {orjson.dumps(key).decode() for key in (event["key"], event.get("old_key", event["key"]))}
        for key in keys:
            self.disordered += number < self.latest.get(key, 0)
            self.latest[key] = max(number, self.latest.get(key, 0))
        return number

    async def _answer(self, writer: asyncio.StreamWriter, number: int) -> None:
        match random.randrange(100):
            case 0:
                writer.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")
            case 1:
                pass  # taken, and not answered
            case chance:
                if chance == 2:
                    await asyncio.sleep(random.random())
                self.accepted.add(number)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()


@dataclass(slots=True)
class Verdict:
    """How many changes the log holds, and what the receivers were sent of them."""

    logged: set[int]
    receivers: list[Receiver]
    kills: int
    seconds: float
    states: dict[str, int]

    @property
    def is_whole(self) -> bool:
        return len(self.logged) > 0 and all(
            one.accepted == self.logged == one.ids.keys()
            and not (one.disordered or one.unverified or one.under_two_ids)
            for one in self.receivers
        )


class Run:
    """One run, with workers of its own."""

    def __init__(self, postgres: EmbeddedPostgres, folder: Path, changes: int) -> None:
        self.postgres = postgres
        self.folder = folder
        self.changes = changes
        self.receivers = [Receiver() for _ in range(_RECEIVERS)]
        self.workers: list[subprocess.Popen[bytes]] = []
        self.kills = 0
        self.made = 0

    async def run(self) -> Verdict:
        async with self._listening() as ports:
            for receiver, port in zip(self.receivers, ports, strict=True):
                await self._subscribe(receiver, port)
            self.workers = [self._start_worker(number, ports) for number in range(_WORKERS)]
            begun = monotonic()
            try:
                async with asyncio.TaskGroup() as group:
                    killer = group.create_task(self._kill(ports))
                    await asyncio.gather(*(self._write(number) for number in range(_WRITERS)))
                    logged = {row[0] for row in await self._fetch(_LOGGED)}
                    await self._until_all_have(logged)
                    killer.cancel()
                seconds = monotonic() - begun
                states = await self._fetch("select state, count(*) from rowhouse.deliveries group by state")
            finally:
                for worker in self.workers:
                    worker.kill()
                    worker.wait()
        return Verdict(logged, self.receivers, self.kills, seconds, {row[0]: row[1] for row in states})

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[list[int]]:
        servers = [await asyncio.start_server(one.serve, "127.0.0.1", 0, backlog=512) for one in self.receivers]
        try:
            yield [server.sockets[0].getsockname()[1] for server in servers]
        finally:
            for server in servers:
                server.close()

    async def _subscribe(self, receiver: Receiver, port: int) -> None:
        receiver.webhook = (await self._fetch(_ADD, f"http://127.0.0.1:{port}/"))[0][0]
        assert receiver.webhook is not None
        receiver.verifier = Webhook(Secrets(_SECRET).secret(receiver.webhook, 1))

    def _start_worker(self, number: int, ports: list[int]) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "DATABASE_URL": self.postgres.service_url,
            "JWT_SECRET": _SECRET,
            "LOG_LEVEL": "ERROR",
            "WEBHOOK_ALLOW_HTTP": "true",
            "WEBHOOK_ALLOWED_HOSTS": ",".join(f"127.0.0.1:{port}" for port in ports),
            "WEBHOOK_TIMEOUT": "2",
            "WEBHOOK_POLL_SECONDS": "0.1",
            "WEBHOOK_RETRY_SECONDS": ",".join(["0.5"] * 20),
        }
        with (self.folder / f"worker{number}.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-c", _WORKER], env=environment, stdout=log, stderr=log)

    async def _kill(self, ports: list[int]) -> None:
        while True:
            await asyncio.sleep(random.uniform(*_KILL_SECONDS))
            number = random.randrange(_WORKERS)
            # On a busy machine one might be killed before it has begun, again and again.
            if not (await self._fetch(_HAS_WORKED, f"%:{self.workers[number].pid}"))[0][0]:
                continue
            self.workers[number].kill()
            self.workers[number].wait()
            self.kills += 1
            self.workers[number] = self._start_worker(number, ports)

    async def _write(self, number: int) -> None:
        """Change rows of one's own and those that all share."""
        connection = await asyncpg.connect(self.postgres.owner_url)
        try:
            while self.made < self.changes:
                await self._one_statement(connection, number, self.made)
                await asyncio.sleep(0.002)
        finally:
            await connection.close()

    async def _one_statement(self, connection: "asyncpg.Connection[asyncpg.Record]", number: int, turn: int) -> None:
        identity = random.randrange(_ROWS)
        own = 1000 * (number + 1) + turn % 100
        match random.randrange(8):
            case 0 | 1 | 2 | 3:
                sql = "insert into parcels values ($1, $2) on conflict (id) do update set note = excluded.note"
                tag = await connection.execute(sql, identity, str(turn))
            case 4:
                tag = await connection.execute("delete from parcels where id = $1", identity)
            case 5:
                sql = "insert into parcels select $1 + n, $2 from generate_series(0, 9) n on conflict do nothing"
                tag = await connection.execute(sql, own, str(turn))
            case 6:
                sql = (
                    "update parcels set id = id + 5000 where id = $1 and not exists "
                    "(select from parcels where id = $1 + 5000)"
                )
                tag = await connection.execute(sql, own)
            case _:
                transaction = connection.transaction()
                await transaction.start()
                await connection.execute("update parcels set note = 'undone' where id = $1", identity)
                await transaction.rollback()
                return
        self.made += int(tag.rpartition(" ")[2])

    async def _until_all_have(self, logged: set[int]) -> None:
        """Until they have, or until nothing has come for a while."""
        seen, still = -1, 0.0
        while still < _STILL_SECONDS and not all(one.accepted >= logged for one in self.receivers):
            await asyncio.sleep(0.25)
            before, seen = seen, sum(one.requests for one in self.receivers)
            still = still + 0.25 if seen == before else 0.0
        await asyncio.sleep(1)  # for what would come again

    async def _fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.postgres.owner_url)
        try:
            return await connection.fetch(sql, *arguments)
        finally:
            await connection.close()


async def run(changes: int, folder: Path) -> Verdict:
    """Make so many changes. The folder holds the database and the workers' logs."""
    postgres = await start_embedded(folder)
    try:
        await migrations.migrate(postgres.owner_url, (Branch.ROWHOUSE,))
        connection = await asyncpg.connect(postgres.owner_url)
        await connection.execute(_TABLE)
        await connection.close()
        await open_schemas(postgres.owner_url, ("public",), 5)
        return await Run(postgres, folder, changes).run()
    finally:
        await asyncio.to_thread(postgres.release)


def show(verdict: Verdict, console: Console) -> None:
    """The counts, as a table."""
    console.print(
        f"{len(verdict.logged)} changes, {verdict.kills} workers killed, {verdict.seconds:.0f} seconds; "
        f"deliveries: {verdict.states}.",
        highlight=False,
    )
    table = Table("Receiver", "Requests", "Changes", "Lost", "Again", "Under two ids", "Disordered", "Unverified")
    for number, one in enumerate(verdict.receivers, 1):
        lost = len(verdict.logged - one.accepted)
        counts = (one.requests, len(one.ids), lost, one.repeated, one.under_two_ids, one.disordered, one.unverified)
        table.add_row(str(number), *map(str, counts))
    console.print(table)
    console.print("[green]Whole.[/]" if verdict.is_whole else "[bold red]Not whole.[/]")


def main(changes: Annotated[int, typer.Option(min=1, help="How many rows to change.")] = 10_000) -> None:
    """Webhooks under crashes."""
    with tempfile.TemporaryDirectory(prefix="rowhouse-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 (the server has a user of its own)
        verdict = asyncio.run(run(changes, Path(folder)))
    show(verdict, Console())
    raise typer.Exit(0 if verdict.is_whole else 1)


if __name__ == "__main__":
    typer.run(main)
