"""Delivers what is due: many at once, each row's messages one after the other."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from random import SystemRandom

import structlog

from service.core.background import Background
from service.core.errors import RowhouseError
from service.core.settings import WebhookSettings
from service.observability.metrics import WebhookMetrics
from service.subscriptions.message import Secrets
from service.webhooks.queue import Claimed, Queue
from service.webhooks.sender import Sender
from service.webhooks.verdict import judge

_log = structlog.get_logger()
# Attempts that end together are followed by one look for further ones.
_TOGETHER_SECONDS = 0.005
_STOP_SECONDS = 5.0


class Deliverer(Background):
    """Takes due deliveries, as many as may be under way at once."""

    def __init__(
        self, queue: Queue, sender: Sender, secrets: Secrets, settings: WebhookSettings, metrics: WebhookMetrics
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._secrets = secrets
        self._settings = settings
        self._metrics = metrics
        self._woken = asyncio.Event()
        self._running: dict[asyncio.Task[None], Claimed] = {}

    def wake(self) -> None:
        """Something is due."""
        self._woken.set()

    async def stop(self) -> None:
        """Take nothing more, and let what is under way arrive, for a few seconds."""
        await super().stop()
        if self._running:
            await asyncio.wait(self._running, timeout=_STOP_SECONDS)
        late = list(self._running)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._sender.close()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._fill()
            except RowhouseError as error:
                _log.warning("webhooks_not_delivered", reason=error.code, message=error.message)
            except Exception:  # whatever it is, the next time may go well
                _log.exception("webhooks_not_delivered")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.webhook_poll_seconds):
                    await self._woken.wait()
            await asyncio.sleep(_TOGETHER_SECONDS)

    async def _fill(self) -> None:
        free = self._settings.webhook_concurrency - len(self._running)
        if free <= 0:
            return
        busy = Counter(one.webhook for one in self._running.values())
        for claimed in await self._queue.claim(free, busy, self._settings.webhook_concurrency_each):
            task = asyncio.create_task(self._deliver(claimed))
            self._running[task] = claimed
            task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        del self._running[task]
        self._woken.set()

    async def _deliver(self, one: Claimed) -> None:
        """One attempt. Where its outcome cannot be written down, the lease runs out, and it is made again."""
        try:
            headers = self._secrets.headers(
                one.webhook, one.generation, one.message, one.body, datetime.now(UTC), is_overlap=one.is_overlap
            )
            answer = await self._sender.send(one.url, headers, one.body)
            verdict = judge(answer, one.attempt, self._settings.webhook_retry_seconds, SystemRandom().uniform)
            counts = await self._queue.settle(one, answer, verdict)
            self._metrics.observe(verdict.outcome if counts else "stale", answer.seconds)
        except RowhouseError as error:
            _log.warning("webhook_attempt_lost", delivery=one.id, reason=error.code)
        except Exception:
            _log.exception("webhook_attempt_lost", delivery=one.id)
