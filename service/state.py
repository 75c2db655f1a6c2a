"""What one running application holds, made in its lifespan."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import structlog

from service.auth.limits import RequestLimiter
from service.catalog.catalog import Catalog
from service.catalog.declared import declared_catalog
from service.catalog.reload import Reloader
from service.catalog.served import read_catalog
from service.core.background import Background
from service.core.errors import ConfigurationError, DatabaseUnavailable
from service.core.security import development_secret
from service.core.settings import Settings
from service.db import migrations
from service.db.connections import brief_connection
from service.db.embedded import EmbeddedPostgres, start_embedded
from service.db.listen import RELOAD_CHANNEL, Listener
from service.db.privileges import open_schemas
from service.db.runner import LOST
from service.db.watch import DatabaseWatch
from service.events.notify import CHANGES_CHANNEL
from service.events.tracking import apply_setting
from service.models import TableBase
from service.observability.metrics import Metrics, Sampler
from service.observability.minutes import RequestMinutes
from service.observability.tracing import Tracing
from service.runtime import Runtime, RuntimeMaker
from service.subscriptions.target import Targets
from service.worker import Worker

_log = structlog.get_logger()
_RETRY_SECONDS = 1.0
# So long the first look at the tables waits for the listener, which may have another way to the database.
_LISTEN_SECONDS = 2.0
# What goes on all the time beside the jobs.
Beside = Callable[[Runtime, Settings, Metrics, Targets], Sequence[Background]]


@dataclass(slots=True)
class ServiceState:
    """Settings and everything made from them. `runtime` is None until the database has been reached.

    Where jobs run in this process, so does what `beside` makes.
    """

    settings: Settings
    metrics: Metrics
    minutes: RequestMinutes
    sampler: Sampler
    limiter: RequestLimiter
    targets: Targets
    tracing: Tracing
    runtime: Runtime | None = None
    embedded: EmbeddedPostgres | None = None
    is_draining: bool = False
    waiting_for: str = "The service has not reached its database yet."
    beside: Beside = lambda *_: ()
    make_worker: Callable[..., Worker] = Worker
    _besides: Sequence[Background] = ()
    _watch: DatabaseWatch | None = None
    _listener: Listener | None = None
    _connecting: "asyncio.Task[None] | None" = field(default=None)
    reloader: Reloader = field(init=False)

    def __post_init__(self) -> None:
        self.reloader = Reloader(self.reload)

    @classmethod
    def build(
        cls, settings: Settings, metrics: Metrics, beside: Beside, make_worker: Callable[..., Worker] = Worker
    ) -> "ServiceState":
        """The state before its start: nothing is read or connected yet.

        Raises:
            ConfigurationError: traces are wanted, and the packages for them are not installed.
        """
        return cls(
            settings,
            metrics,
            RequestMinutes(metrics),
            Sampler(metrics),
            RequestLimiter(settings.security, metrics.auth),
            Targets(settings.webhooks),
            Tracing(settings),
            beside=beside,
            make_worker=make_worker,
        )

    def connected(self) -> Runtime:
        """The runtime.

        Raises:
            DatabaseUnavailable: the database has not been reached yet.
        """
        if self.runtime is None:
            raise DatabaseUnavailable(self.waiting_for)
        return self.runtime

    async def start(self) -> None:
        """Reach the database, or go on trying in the background: a database that is down must not stop a start.

        Raises:
            ConfigurationError: no amount of waiting would help.
        """
        self.minutes.start()
        self.sampler.start()
        self.tracing.start()
        if self.settings.database.database_url is None:
            self.embedded = await start_embedded(self.settings.database.data_dir)
            await migrations.migrate(self.embedded.owner_url, (migrations.Branch.ROWHOUSE,))
            await open_schemas(
                self.embedded.owner_url,
                self.settings.database.exposed_schemas,
                self.settings.database.connect_timeout,
            )
            await self._track(self.embedded.owner_url)
        self._watch = DatabaseWatch(self.service_url(), self.settings.database, self.metrics.database)
        self._watch.start()
        self._listener = self._make_listener()
        self._listener.start()
        if not await self._try_to_connect():
            self._connecting = asyncio.create_task(self._keep_trying())

    async def _track(self, owner_url: str) -> None:
        """See to TRACKED_TABLES. What is not there yet does not stop a start."""
        words = self.settings.change_log.tracked_tables
        if not words:
            return
        connection = await asyncpg.connect(owner_url, timeout=self.settings.database.connect_timeout)
        try:
            applied = await apply_setting(connection, words, self.settings.database.exposed_schemas)
        finally:
            await connection.close()
        for problem in applied.problems:
            _log.warning("table_not_tracked", message=problem)

    async def stop(self) -> None:
        """Let go of everything, the embedded server last."""
        await self.minutes.stop()
        await self.sampler.stop()
        if self._watch is not None:
            await self._watch.stop()
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        await self.reloader.stop()
        if self.runtime is not None:
            for task in reversed(self._besides):
                await task.stop()
            await self.runtime.stop()
        if self._listener is not None:
            await self._listener.stop()
        if self.embedded is not None:
            await asyncio.to_thread(self.embedded.release)
        self.metrics.sample()  # what was not counted yet
        await self.tracing.stop()

    async def _keep_trying(self) -> None:
        is_connected = False
        while not is_connected:
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                is_connected = await self._try_to_connect()
            except ConfigurationError as error:
                self.waiting_for = error.message
                _log.error("configuration", message=error.message)
            except Exception:  # whatever it is, the next try may go well
                _log.exception("database_not_reached")

    async def _try_to_connect(self) -> bool:
        try:
            await self._connect()
        except (*LOST, asyncpg.PostgresError, DatabaseUnavailable) as error:
            cause = error.__cause__ or error
            _log.warning("database_not_reached", reason=type(cause).__name__, message=self.waiting_for)
            return False
        return True

    async def _connect(self) -> None:
        maker = RuntimeMaker(
            self.settings,
            self.metrics,
            self.targets,
            self.tracing,
            self.service_url(),
            self.secret(),
            self.make_worker if self._runs_jobs() else None,
            self._first_catalog,
        )
        self.runtime = await maker.make()
        self.runtime.start()
        self.reloader.start()
        if self.runtime.worker is not None:
            self._besides = self.beside(self.runtime, self.settings, self.metrics, self.targets)
            for beside in self._besides:
                beside.start()

    def _runs_jobs(self) -> bool:
        """Whether jobs run inside this process."""
        wanted = self.settings.jobs.jobs_inside
        return self.embedded is not None if wanted is None else wanted

    async def drain(self) -> None:
        """The service is about to stop: whoever follows is sent to another process."""
        self.is_draining = True
        if self.runtime is not None:
            await self.runtime.hub.drain()

    async def reload(self) -> None:
        """Read the catalog again. Until it has been read, and if it cannot be, requests go on with the old one.

        Raises:
            OSError, asyncpg.PostgresError, DatabaseUnavailable: it cannot be read now.
        """
        catalog = await self._read_database()
        self.connected().policy.take(catalog)
        _log.info("catalog_reloaded", tables=len(list(catalog)))

    def secret(self) -> str:
        """What every secret of the service is derived from."""
        secret = self.settings.security.jwt_secret
        return secret.get_secret_value() if secret else development_secret(self.settings.database.data_dir)

    def service_url(self) -> str:
        if self.embedded is not None:
            return self.embedded.service_url
        url = self.settings.database.database_url
        assert url is not None
        return url.get_secret_value()

    def _make_listener(self) -> Listener:
        """It does not go through a pooler that hands connections around."""
        apart = self.settings.feed.listen_database_url
        url = self.service_url() if apart is None else apart.get_secret_value()
        heard = {RELOAD_CHANNEL: lambda _: self.reloader.ask(), CHANGES_CHANNEL: self._heard}
        return Listener(url, self.settings.database, heard, self.reloader.ask)

    def _heard(self, sender: str) -> None:
        """A process has committed something."""
        if self.runtime is not None and sender != self.runtime.notifier.identity:
            self.runtime.hub.wake()

    async def _first_catalog(self) -> Catalog:
        """What is told while it is read is heard; and if nothing can be heard yet, it is read again when it can."""
        assert self._listener is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LISTEN_SECONDS):
                await self._listener.tries()
        self.reloader.forget()
        return await self._read_database()

    async def _read_database(self) -> Catalog:
        settings = self.settings.database
        async with brief_connection(self.service_url(), timeout=settings.connect_timeout) as connection:
            state = await migrations.pending(connection)
            if not state.is_current:
                self.waiting_for = f"Migrations are pending ({', '.join(state.pending)}): run `rowhouse migrate`."
                raise DatabaseUnavailable(self.waiting_for)
            return await read_catalog(connection, declared_catalog(TableBase), settings.exposed_schemas)
