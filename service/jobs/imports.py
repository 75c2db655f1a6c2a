"""Imports that a worker runs: the body is kept as it came, and imported as it would have been at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Text, cast, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.authenticate import Authenticator
from service.auth.policy import Policy
from service.auth.principal import Principal, PrincipalKind
from service.core.errors import (
    DatabaseUnavailable,
    Forbidden,
    InvalidBody,
    RowhouseError,
    TooManyRejected,
    TooManyRequests,
)
from service.core.settings import ImportSettings
from service.core.types import Role
from service.crud.jobs import JobQueue, NewJob
from service.crud.statements import StatementCache
from service.crud.write import Writer
from service.db.engine import UnitOfWork
from service.db.transaction import Transaction
from service.imports.importer import Caller, Importer
from service.imports.open import open_rows
from service.imports.order import Order
from service.imports.rows import Rejections
from service.jobs.job_type import JobRefused, JobType, Periodic, Run, TransactionalJobType
from service.models.system import IS_UNFINISHED, ImportChunk, Job
from service.query.plan import Bind, Written

NAME = "import_rows"
_SWEEP = "delete_import_bodies"
_ATTEMPTS = 5
_CHUNK = 1 << 20
_EVERY = timedelta(hours=1)
_SAID_EVERY = 0.5
_RETRY_AFTER = 30
_NO_EPOCH = ""


@dataclass(frozen=True, slots=True)
class Bodies:
    """Keeps bodies, and enqueues their imports in the same transaction."""

    unit_of_work: UnitOfWork
    queue: JobQueue
    settings: ImportSettings

    async def enqueue(
        self, principal: Principal, request_id: str, table: str, order: Order, body: AsyncIterator[bytes]
    ) -> UUID:
        """The job that will import the body.

        Raises:
            TooManyRequests: too many imports of the caller are not finished.
            those of the body.
        """
        kept = uuid4()
        who = {"kind": principal.kind.value, "id": principal.id, "name": principal.name, "role": principal.role}
        arguments = {"body": str(kept), "table": table, "caller": who, "request": request_id, "order": order.as_json()}
        async with self.unit_of_work.begin() as session:
            await self._require_room(session, principal.actor)
            milliseconds = int(self.settings.import_timeout * 1000)
            await session.execute(text(f"set local idle_in_transaction_session_timeout = {milliseconds}"))
            size = await _keep(session, kept, body)
            new = NewJob(NAME, _ATTEMPTS, {**arguments, "bytes": size}, actor=principal.actor)
            job_id = await self.queue.enqueue(session, new)
        assert job_id is not None
        return job_id

    async def _require_room(self, session: AsyncSession, actor: str) -> None:
        waiting = select(func.count()).select_from(Job).where(Job.name == NAME, Job.actor == actor, IS_UNFINISHED)
        if (await session.scalar(waiting) or 0) >= self.settings.import_max_waiting:
            raise TooManyRequests(
                f"{self.settings.import_max_waiting} of your imports are not finished yet.", retry_after=_RETRY_AFTER
            )


async def _keep(session: AsyncSession, body_id: UUID, body: AsyncIterator[bytes]) -> int:
    """Keep a body in chunks of one size. Returns its length."""
    number, size, held = 0, 0, bytearray()
    async for chunk in body:
        held += chunk
        while len(held) >= _CHUNK:
            await session.execute(insert(ImportChunk).values(body=body_id, number=number, data=bytes(held[:_CHUNK])))
            number, size = number + 1, size + _CHUNK
            del held[:_CHUNK]
    await session.execute(insert(ImportChunk).values(body=body_id, number=number, data=bytes(held)))
    return size + len(held)


class ImportJobs:
    """The job type that imports, and the one that deletes bodies that nobody will import any more."""

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        policy: Policy,
        authenticator: Authenticator,
        statements: StatementCache,
        settings: ImportSettings,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._policy = policy
        self._authenticator = authenticator
        self._statements = statements
        self._settings = settings

    def types(self) -> tuple[TransactionalJobType, ...]:
        return (TransactionalJobType(name=NAME, most_attempts=_ATTEMPTS, run=self._run),)

    def periodic(self) -> tuple[Periodic, ...]:
        return (Periodic(JobType(name=_SWEEP, run=self._sweep), _EVERY),)

    async def _run(self, run: Run, session: AsyncSession) -> dict[str, Any]:
        """Import, all in the job's transaction.

        Raises:
            JobRefused: the body, or its sender's rights, do not allow it, however often it is tried.
        """
        try:
            return await self._import(run, session)
        except DatabaseUnavailable:
            raise
        except TooManyRejected as error:
            listed = [asdict(one) for one in error.rejected]
            raise JobRefused(error.message, {"code": error.stable_code, "rejected": listed}) from error
        except RowhouseError as error:
            fields = [asdict(one) for one in error.fields]
            raise JobRefused(error.message, {"code": error.stable_code, "errors": fields}) from error

    async def _import(self, run: Run, session: AsyncSession) -> dict[str, Any]:
        arguments = run.arguments
        order, principal = Order.from_json(arguments["order"]), _principal(arguments["caller"])
        if principal not in await self._authenticator.standing([principal]):
            raise Forbidden("Who asked for the import may no longer use the service.")
        await self._policy.refresh()
        resource = self._policy.resource(principal, arguments["table"])
        body_id, rejections = UUID(arguments["body"]), Rejections(order.max_rejected)
        caller = Caller(principal, Written(Bind(principal.actor), Bind(arguments["request"])))
        driver = (await (await session.connection()).get_raw_connection()).driver_connection
        assert driver is not None
        transaction = Transaction(driver, _NO_EPOCH)
        writer = Writer(transaction, self._policy, self._statements)
        importer = Importer(self._policy, writer, self._statements, self._settings)
        async with _telling(run, arguments["bytes"]) as said:
            body = self._chunks(body_id, said)
            await transaction.begin()
            try:
                async with open_rows(order, resource, body, rejections) as rows:
                    imported = await importer.run(transaction, resource, order, rows, rejections, caller, said.report)
                await (transaction.commit() if order.keeps else transaction.roll_back())
            except BaseException:
                await transaction.roll_back()
                raise
        await session.execute(delete(ImportChunk).where(ImportChunk.body == body_id))
        return imported.summary()

    async def _chunks(self, body_id: UUID, said: "_Said") -> AsyncIterator[bytes]:
        """The body, read beside the transaction whose connection is copying it."""
        number = 0
        while True:
            async with self._unit_of_work.begin() as session:
                found = ImportChunk.body == body_id, ImportChunk.number == number
                data = await session.scalar(select(ImportChunk.data).where(*found))
            if data is None:
                break
            number += 1
            said.bytes += len(data)
            if data:
                yield data
        if not number:
            raise InvalidBody("The body is no longer kept: send it again.")

    async def _sweep(self, _: Run) -> dict[str, int]:
        """Delete bodies of jobs that are done with, or gone."""
        wanted = select(Job.arguments["body"].astext).where(Job.name == NAME, IS_UNFINISHED)
        async with self._unit_of_work.begin() as session:
            gone = delete(ImportChunk).where(cast(ImportChunk.body, Text).not_in(wanted))
            result: Any = await session.execute(gone.execution_options(synchronize_session=False))
        return {"chunks": result.rowcount}


class _Said:
    """What an import says of itself."""

    def __init__(self, size: int) -> None:
        self.size = max(size, 1)
        self.bytes = 0
        self.phase = "reading"
        self.rows = 0

    def report(self, phase: str, rows: int) -> None:
        self.phase, self.rows = phase, rows

    def told(self) -> tuple[float, Mapping[str, Any]]:
        """Reading is taken for one half of it, and writing for the other."""
        progress = 0.5 if self.phase == "writing" else 0.5 * self.bytes / self.size
        return progress, {"phase": self.phase, "bytes": self.bytes, "rows": self.rows}


@asynccontextmanager
async def _telling(run: Run, size: int) -> AsyncIterator[_Said]:
    """Tell how far it has come, every now and then, until the block ends."""
    said = _Said(size)

    async def tell() -> None:
        while True:
            await run.report(*said.told())
            await asyncio.sleep(_SAID_EVERY)

    task = asyncio.create_task(tell())
    try:
        yield said
    finally:
        task.cancel()
        await asyncio.wait({task})


def _principal(value: Mapping[str, Any]) -> Principal:
    role = value["role"]
    return Principal(PrincipalKind(value["kind"]), value["id"], value["name"], None if role is None else Role(role))
