"""Runs jobs: as many at once as there are slots, each under a lease that is renewed while it runs."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bind_contextvars

from service.core.errors import RowhouseError
from service.db.engine import UnitOfWork
from service.jobs import claims
from service.jobs.claims import Claim, Claims, LeaseLost
from service.jobs.job_type import AnyJobType, JobRefused, JobType, Result, Run
from service.jobs.timing import Timing
from service.observability.metrics import JobMetrics
from service.observability.tracing import Tracing
from service.observability.trail import Attributes, Kind, on_trail, said_of

_log = structlog.get_logger()
# An import lists the rows that it has left out.
_MOST_RESULT_BYTES = 2**20
# A lease is renewed so often before it ends: some renewals may fail.
_RENEWALS = 4

Take = Callable[[AsyncSession], Awaitable[Claim | None]]


class Runner:
    """Runs jobs of the given types in this process, at most `slots` at once, until it is drained."""

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        types: Sequence[AnyJobType],
        *,
        worker: str,
        slots: int,
        timing: Timing,
        metrics: JobMetrics,
        tracing: Tracing,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._types = {item.name: item for item in types}
        self._claims = Claims(worker, tuple(self._types), timing.lease)
        self._timing = timing
        self._metrics = metrics
        self._tracing = tracing
        self._free = asyncio.Semaphore(slots)
        self._running: set[asyncio.Task[None]] = set()
        self._is_draining = False

    async def run(self, job_id: UUID) -> None:
        """Run a job if it is to be run, and nobody else does. Returns when it has ended.

        Raises:
            RowhouseError: the database cannot be reached.
        """
        await self._free.acquire()
        task = await self._begin(partial(self._claims.take, job_id=job_id))
        if task is not None:
            await asyncio.wait({task})

    async def run_due(self) -> None:
        """Begin as many due jobs as there are free slots. Those that have ended every worker are given up.

        Raises:
            RowhouseError: the database cannot be reached.
        """
        async with self._unit_of_work.begin() as session:
            buried = await claims.bury(session)
        for job_id in buried:
            _log.error("job_dead", job=str(job_id), reason="worker_lost")
        while not self._free.locked():
            await self._free.acquire()
            if await self._begin(self._claims.take_due) is None:
                return

    async def drain(self) -> None:
        """Begin nothing more. What runs may go on for a while; then it is cut off, and given back."""
        self.stop_taking()
        if self._running:
            await asyncio.wait(self._running, timeout=self._timing.drain)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def stop_taking(self) -> None:
        """Begin nothing more."""
        self._is_draining = True

    async def _begin(self, take: Take) -> "asyncio.Task[None] | None":
        """Claim a job and begin it, in a slot that was acquired for it."""
        claim = None
        try:
            if not self._is_draining:
                async with self._unit_of_work.begin() as session:
                    claim = await take(session)
        finally:
            if claim is None:
                self._free.release()
        if claim is None:
            return None
        task = asyncio.create_task(self._run(claim))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._free.release()

    async def _run(self, claim: Claim) -> None:
        """One attempt, from its claim to what became of it. Cancelled, it gives the job back."""
        begun = monotonic()
        trail = self._tracing.follow(claim.traceparent) if claim.traceparent else self._tracing.begin(None)
        bind_contextvars(job=str(claim.id), **said_of(trail))
        with on_trail(trail):
            work = asyncio.create_task(self._work(claim))
        lease = asyncio.create_task(self._keep_lease(claim))
        is_cut_off = False
        try:
            await asyncio.wait({work, lease}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            is_cut_off = True
        is_lost = lease.done()
        for task in (work, lease):
            task.cancel()
        error = (await asyncio.gather(work, lease, return_exceptions=True))[0]
        if is_lost and isinstance(error, asyncio.CancelledError):
            error = LeaseLost()
        outcome = await self._settle(claim, error, is_cut_off=is_cut_off)
        self._metrics.observe(claim.name, outcome, monotonic() - begun)
        if trail is not None:
            trail.end(f"process {claim.name}", Kind.CONSUMER, _about(claim, outcome), _failure(error))
        _log.info("job_ended", job=str(claim.id), name=claim.name, attempt=claim.attempt, outcome=outcome)

    async def _work(self, claim: Claim) -> None:
        run = Run(claim.id, claim.arguments, claim.attempt, partial(self._report, claim))
        job_type = self._types[claim.name]
        if isinstance(job_type, JobType):
            result = _checked(await job_type.run(run))
            async with self._unit_of_work.begin() as session:
                await claims.finish(session, claim, result)
        else:
            async with self._unit_of_work.begin() as session:
                result = _checked(await job_type.run(run, session))
                await claims.finish(session, claim, result)

    async def _report(self, claim: Claim, progress: float, details: Mapping[str, Any] | None = None) -> None:
        async with self._unit_of_work.begin() as session:
            await claims.report(session, claim, min(max(progress, 0.0), 1.0), details)

    async def _keep_lease(self, claim: Claim) -> None:
        """Renew the lease, until it is lost."""
        lease = self._timing.lease
        until = monotonic() + lease
        while monotonic() < until:
            await asyncio.sleep(lease / _RENEWALS)
            begun = monotonic()
            try:
                # A database that does not answer must not keep the job going when it may be another's.
                patience = max(until - begun, lease / _RENEWALS)
                async with asyncio.timeout(patience), self._unit_of_work.begin() as session:
                    await self._claims.renew(session, claim)
            except (LeaseLost, TimeoutError):
                return
            except RowhouseError as error:
                _log.warning("job_lease_not_renewed", job=str(claim.id), reason=error.stable_code)
            else:
                until = begun + lease

    async def _settle(self, claim: Claim, error: BaseException | None, *, is_cut_off: bool) -> str:
        """Write down how the attempt ended, where the work has not done so itself. Returns the outcome in a word."""
        try:
            match error:
                case None:
                    return "done"
                case LeaseLost():
                    return "lost"
                case asyncio.CancelledError() if is_cut_off:
                    async with self._unit_of_work.begin() as session:
                        await claims.release(session, claim)
                    return "released"
                case JobRefused():
                    _log.info("job_refused", job=str(claim.id), name=claim.name)
                    async with self._unit_of_work.begin() as session:
                        await claims.refuse(session, claim, error.message, _checked(error.result))
                    return "dead"
            _log.warning(
                "job_failed",
                job=str(claim.id),
                name=claim.name,
                attempt=claim.attempt,
                exc_info=None if isinstance(error, RowhouseError) else error,
            )
            async with self._unit_of_work.begin() as session:
                await claims.fail(session, claim, _explain(error), self._timing.backoff(claim.attempt))
        except LeaseLost:
            return "lost"
        except Exception as unsaid:  # the lease ends by itself: then the job is anybody's
            _log.warning("job_not_settled", job=str(claim.id), reason=type(unsaid).__name__)
            return "lost"
        return "dead" if claim.is_last else "failed"


def _about(claim: Claim, outcome: str) -> Attributes:
    """By OpenTelemetry's semantic conventions for messages that are processed."""
    return {
        "messaging.system": "rowhouse",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": claim.name,
        "messaging.message.id": str(claim.id),
        "rowhouse.job.attempt": claim.attempt,
        "rowhouse.job.outcome": outcome,
    }


def _failure(error: BaseException | None) -> str | None:
    return None if error is None else type(error).__name__


def _checked(result: Result) -> Result:
    """The result, if it can be kept.

    Raises:
        TypeError: it is not JSON.
        ValueError: it is too large.
    """
    if len(json.dumps(result).encode()) > _MOST_RESULT_BYTES:
        raise ValueError(f"The result of a job may have {_MOST_RESULT_BYTES} bytes.")
    return result


def _explain(error: BaseException) -> str:
    """What administrators may read: the words of our own errors, but of others their type alone, since such words
    may repeat what they were given: addresses, rows, credentials.
    """
    if isinstance(error, RowhouseError):
        return f"{type(error).__name__}: {error.message}"
    return type(error).__name__
