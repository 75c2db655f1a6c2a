"""Hears messages about jobs, with taskiq's receiver."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog
from taskiq.acks import AcknowledgeType
from taskiq.receiver import Receiver

from service.core.errors import RowhouseError
from service.jobs.broker import TASK, Brokers, let_go
from service.jobs.runner import Runner
from service.jobs.timing import jittered

_log = structlog.get_logger()
_RETRY_SECONDS = 1.0


class Reception:
    """Runs the jobs that messages tell of, as many at once as the runner has slots. A lost broker is tried again."""

    def __init__(self, brokers: Brokers, runner: Runner, slots: int) -> None:
        self._brokers = brokers
        self._runner = runner
        self._slots = slots

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                await self._receive()
                _log.warning("job_broker_lost")
            except Exception as error:  # whatever it is, the next time may go well
                _log.warning("job_broker_lost", reason=_name(error))
            await asyncio.sleep(jittered(_RETRY_SECONDS))

    async def _receive(self) -> None:
        """Until the broker is lost."""
        lost = asyncio.Event()
        broker = self._brokers.make(lost)
        broker.is_worker_process = True
        broker.register_task(self._handler(), TASK)
        # A message has done its work when it is heard: the job's row says what becomes of the job. Brokers that keep
        # messages until a job has ended would send those of long jobs again (RabbitMQ after 30 minutes).
        receiver = Receiver(
            broker,
            max_async_tasks=self._slots,
            ack_type=AcknowledgeType.WHEN_RECEIVED,
            validate_params=False,
            run_startup=False,
            wait_tasks_timeout=0,
        )
        try:
            await broker.startup()
            await receiver.listen(lost)
        finally:
            await let_go(broker)

    def _handler(self) -> Callable[[str], Awaitable[None]]:
        """A plain function: taskiq writes to what is registered, which a method does not take."""

        async def handle(job_id: str) -> None:
            try:
                await self._runner.run(UUID(job_id))
            except RowhouseError as error:  # the sweep comes to it
                _log.warning("job_not_claimed", job=job_id, reason=error.stable_code)

        return handle


def _name(error: BaseException) -> str:
    """The type of the error, or of the first that a task group has gathered."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
