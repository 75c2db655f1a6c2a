"""Which broker carries the messages that wake workers. Each holds the id of one job, and may be lost or come twice."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from taskiq import AsyncBroker
from taskiq.kicker import AsyncKicker

from service.core.errors import ConfigurationError
from service.core.settings import DatabaseSettings, Settings
from service.db.session import session_settings
from service.jobs.postgres_broker import PostgresBroker

TASK = "rowhouse.job"
_QUEUE = "rowhouse.jobs"
_SHUTDOWN_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Brokers:
    """Makes brokers. `url` is a broker's own, or None for PostgreSQL, at `database_url` and in `role`."""

    url: str | None
    database_url: str
    database: DatabaseSettings
    role: str | None

    @classmethod
    def of(cls, settings: Settings, url: str, role: str | None) -> "Brokers":
        """Those of the settings; `url` is where the service has reached the database.

        Raises:
            ConfigurationError: the packages for the broker are not installed.
        """
        chosen = settings.jobs.jobs_broker_url
        apart = settings.feed.listen_database_url
        if chosen is not None:
            _check_packages(chosen.get_secret_value())
        return cls(
            None if chosen is None else chosen.get_secret_value(),
            url if apart is None else apart.get_secret_value(),
            settings.database,
            role,
        )

    def make(self, lost: asyncio.Event) -> AsyncBroker:
        """A broker. Nothing is connected before its start.

        `lost` is set when it cannot be heard any more, where it would not raise an error.
        """
        if self.url is None:
            session = session_settings(self.database, self.role)
            return PostgresBroker(self.database_url, session, self.database.connect_timeout, lost)
        return _redis(self.url) if _is_redis(self.url) else _rabbitmq(self.url, lost)


async def send(broker: AsyncBroker, job_id: UUID) -> None:
    """Wake a worker for a job.

    Raises:
        SendTaskError: the broker cannot take it.
    """
    kicker: AsyncKicker[Any, Any] = AsyncKicker(TASK, broker, {})
    await kicker.kiq(str(job_id))


async def let_go(broker: AsyncBroker) -> None:
    """Shut a broker down, however it stands: one that is lost may neither answer nor know it."""
    with suppress(Exception):
        async with asyncio.timeout(_SHUTDOWN_SECONDS):
            await broker.shutdown()


def _is_redis(url: str) -> bool:
    return urlsplit(url).scheme in ("redis", "rediss")


def _check_packages(url: str) -> None:
    package, extra = ("taskiq_redis", "redis") if _is_redis(url) else ("taskiq_aio_pika", "rabbitmq")
    if find_spec(package) is None:
        raise ConfigurationError(
            f"JOBS_BROKER_URL needs a package that is not installed: pip install 'rowhouse[{extra}]'."
        )


def _redis(url: str) -> AsyncBroker:
    from taskiq_redis import ListQueueBroker

    # It waits for messages without end: redis-py would give up after five seconds.
    return ListQueueBroker(url, queue_name=_QUEUE, socket_timeout=None, socket_keepalive=True)


def _rabbitmq(url: str, lost: asyncio.Event) -> AsyncBroker:
    from service.jobs.rabbitmq_broker import RabbitMQBroker

    return RabbitMQBroker(url, _QUEUE, lost)
