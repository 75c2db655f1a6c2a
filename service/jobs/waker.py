"""Sends the messages that wake workers."""

import asyncio
from contextlib import suppress
from uuid import UUID

import structlog
from taskiq import AsyncBroker

from service.core.background import Background
from service.jobs.broker import Brokers, let_go, send
from service.jobs.timing import jittered

_log = structlog.get_logger()
# What waits to be sent. More is dropped: workers look for due jobs by themselves.
_MOST_WAITING = 1000
_SEND_SECONDS = 5
_RETRY_SECONDS = 1.0


class Waker(Background):
    """Sends in the background, so that no caller waits for a broker. Nothing depends on a message's arrival."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self._waiting: asyncio.Queue[UUID] = asyncio.Queue(_MOST_WAITING)
        self._unsent: UUID | None = None

    def wake(self, job_id: UUID) -> None:
        """Some worker should run this job."""
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(job_id)

    async def _run(self) -> None:
        while True:
            broker = self._brokers.make(asyncio.Event())
            try:
                await self._send_from(broker)
            except Exception as error:  # whatever it is, the next time may go well
                _log.warning("job_message_not_sent", reason=type(error.__cause__ or error).__name__)
            finally:
                await let_go(broker)
            await asyncio.sleep(jittered(_RETRY_SECONDS))

    async def _send_from(self, broker: AsyncBroker) -> None:
        """Until it fails, if only because its connection is old. It is started when there is something to send."""
        is_started = False
        while True:
            self._unsent = self._unsent or await self._waiting.get()
            async with asyncio.timeout(_SEND_SECONDS):
                if not is_started:
                    await broker.startup()
                    is_started = True
                await send(broker, self._unsent)
            self._unsent = None
