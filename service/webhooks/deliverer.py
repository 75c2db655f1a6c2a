"""Delivers what is due: many at once, each row's messages one after the other."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from random import SystemRandom
from urllib.parse import urlsplit

import structlog
from structlog.contextvars import bind_contextvars

from service.core.background import Background
from service.core.errors import RowhouseError
from service.core.settings import WebhookSettings
from service.events.log import Feed
from service.observability.metrics import WebhookMetrics
from service.observability.tracing import Tracing
from service.observability.trail import Attributes, Kind, Value, said_of
from service.subscriptions.message import Secrets
from service.webhooks.queue import Claimed, Queue
from service.webhooks.renewal import Renewal
from service.webhooks.rights import Rights
from service.webhooks.sender import Answer, Sender
from service.webhooks.verdict import judge

_log = structlog.get_logger()
# Attempts that end together are followed by one look for further ones.
_TOGETHER_SECONDS = 0.005
_STOP_SECONDS = 5.0


class Deliverer(Background):
    """Takes due deliveries, as many as may be under way at once."""

    def __init__(
        self,
        queue: Queue,
        rights: Rights,
        renewal: Renewal,
        sender: Sender,
        secrets: Secrets,
        settings: WebhookSettings,
        metrics: WebhookMetrics,
        tracing: Tracing,
    ) -> None:
        self._queue = queue
        self._rights = rights
        self._renewal = renewal
        self._sender = sender
        self._secrets = secrets
        self._settings = settings
        self._metrics = metrics
        self._tracing = tracing
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
        claimed = await self._queue.claim(free, busy, self._settings.webhook_concurrency_each)
        feeds = await self._rights.feeds({one.subscription for one in claimed}) if claimed else {}
        for one in claimed:
            feed = feeds.get(one.webhook)
            if feed is None:
                await self._queue.give_back(one)
                continue
            task = asyncio.create_task(self._deliver(one, feed))
            self._running[task] = one
            task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        del self._running[task]
        self._woken.set()

    async def _deliver(self, one: Claimed, feed: Feed) -> None:
        """One attempt. Where its outcome cannot be written down, the lease runs out, and it is made again."""
        try:
            if self._renewal.is_needed(one, feed):
                await self._send_renewed(one, feed)
            else:
                await self._send(one)
        except RowhouseError as error:
            _log.warning("webhook_attempt_lost", delivery=one.id, reason=error.code)
        except Exception:
            _log.exception("webhook_attempt_lost", delivery=one.id)

    async def _send_renewed(self, one: Claimed, feed: Feed) -> None:
        try:
            message = await self._renewal.message(one, feed)
        except RowhouseError:
            await self._settle(one, Answer(0, error="The change could not be read from the log again."))
            return
        if message is None:
            await self._queue.drop(one)
            self._metrics.observe("dead", 0)
        else:
            await self._send(await self._queue.renew(one, message))

    async def _send(self, one: Claimed) -> None:
        headers = self._secrets.headers(
            one.webhook, one.generation, one.message, one.body, datetime.now(UTC), is_overlap=one.is_overlap
        )
        trail = self._tracing.follow(one.traceparent)
        if trail is not None and trail.context is not None:
            bind_contextvars(**said_of(trail))
            headers["traceparent"] = trail.context.header
        answer = await self._sender.send(one.url, headers, one.body)
        if trail is not None:
            trail.end("POST", Kind.CLIENT, _about(one, answer), _failure(answer))
        await self._settle(one, answer)

    async def _settle(self, one: Claimed, answer: Answer) -> None:
        verdict = judge(answer, one.attempt, self._settings.webhook_retry_seconds, SystemRandom().uniform)
        counts = await self._queue.settle(one, answer, verdict)
        self._metrics.observe(verdict.outcome if counts else "stale", answer.seconds)


def _about(one: Claimed, answer: Answer) -> Attributes:
    """By OpenTelemetry's semantic conventions for HTTP clients. Of the URL the host alone: some are secret."""
    target = urlsplit(one.url)
    attributes: dict[str, Value] = {
        "http.request.method": "POST",
        "server.address": target.hostname or "",
        "server.port": target.port or (443 if target.scheme == "https" else 80),
        "rowhouse.webhook.id": str(one.webhook),
        "rowhouse.webhook.message": one.message,
    }
    if one.attempt > 1:
        attributes["http.request.resend_count"] = one.attempt - 1
    if answer.status is not None:
        attributes["http.response.status_code"] = answer.status
    return attributes


def _failure(answer: Answer) -> str | None:
    if answer.is_success:
        return None
    return "unreachable" if answer.status is None else str(answer.status)
