"""What one running application holds, made in its lifespan."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.auth.authenticate import Authenticator
from service.auth.csrf import Csrf
from service.auth.limits import LoginThrottle, RequestLimiter
from service.auth.links import Links
from service.auth.login import Logins
from service.auth.policy import Policy
from service.auth.second_factor import SecondFactors
from service.auth.sessions import Sessions
from service.auth.tickets import Tickets
from service.catalog.catalog import Catalog
from service.catalog.declared import declared_catalog
from service.catalog.served import read_catalog
from service.core.background import Background
from service.core.errors import ConfigurationError, DatabaseUnavailable
from service.core.security import TokenSigner, development_secret
from service.core.settings import Settings
from service.crud.export import Exporter
from service.crud.export_files import ExportFiles
from service.crud.jobs import JobQueue
from service.crud.statements import StatementCache
from service.db import migrations
from service.db.budget import beside_the_pool, fitting_pool_size
from service.db.connections import Connection
from service.db.copy import CopyPool
from service.db.embedded import EmbeddedPostgres, start_embedded
from service.db.engine import UnitOfWork, make_engine, on_engine
from service.db.listen import RELOAD_CHANNEL, Listener
from service.db.pool import TablePool
from service.db.privileges import open_schemas
from service.db.probe import DatabaseProbe
from service.db.role import role_to_assume
from service.db.runner import LOST
from service.db.session import session_settings
from service.db.watch import DatabaseWatch
from service.events.follow import Follower
from service.events.guard import Guard
from service.events.hub import Hub
from service.events.log import ChangeLog
from service.events.notify import CHANGES_CHANNEL, Notifier
from service.events.position import Cursors
from service.events.request_traces import RequestTraces
from service.events.tracking import apply_setting
from service.events.upkeep import Upkeep
from service.imports.slots import Slots
from service.jobs.broker import Brokers
from service.jobs.imports import Bodies, ImportJobs
from service.jobs.waker import Waker
from service.jobs.watch import QueueWatch
from service.models import TableBase
from service.observability.metrics import Metrics, Sampler
from service.observability.minutes import RequestMinutes
from service.observability.tracing import Tracing
from service.query.parse.parameters import Bounds
from service.subscriptions.delivery_log import DeliveryLog
from service.subscriptions.feeds import Feeds
from service.subscriptions.message import Secrets
from service.subscriptions.store import Subscriptions
from service.subscriptions.target import Targets
from service.worker import Worker

_log = structlog.get_logger()
_RETRY_SECONDS = 1.0
_PROBE_NAME = "rowhouse probe"
# The follower may take longer than a request: a load of millions of rows is found in one look.
_LOOK_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Runtime:
    """What needs the database: there once it has been reached."""

    pool: TablePool
    engine: AsyncEngine
    policy: Policy
    authenticator: Authenticator
    logins: Logins
    sessions: Sessions
    second_factors: SecondFactors
    csrf: Csrf
    statements: StatementCache
    copies: CopyPool
    exporter: Exporter
    export_files: ExportFiles
    import_bodies: Bodies
    import_slots: Slots
    listener: Listener
    tickets: Tickets
    links: Links
    hub: Hub
    follower: Follower
    guard: Guard
    probe: DatabaseProbe
    notifier: Notifier
    upkeep: Upkeep
    unit_of_work: UnitOfWork
    waker: Waker
    queue: JobQueue
    queue_watch: QueueWatch
    worker: Worker | None  # where jobs run inside
    subscriptions: Subscriptions
    delivery_log: DeliveryLog
    request_traces: RequestTraces
    tracing: Tracing

    @property
    def catalog(self) -> Catalog:
        """Everything that is served, whoever asks."""
        return self.policy.catalog


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
    _connecting: "asyncio.Task[None] | None" = field(default=None)

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
        if self.runtime is not None:
            running = self.runtime
            for task in reversed(self._besides):
                await task.stop()
            if running.worker is not None:
                await running.worker.stop()
            for task in (
                running.queue_watch,
                running.waker,
                running.upkeep,
                running.listener,
                running.guard,
                running.notifier,
                running.follower,
                running.hub,
            ):
                await task.stop()
            await running.probe.close()
            await self.runtime.copies.close()
            await self.runtime.pool.close()
            await self.runtime.engine.dispose()
        if self.embedded is not None:
            await asyncio.to_thread(self.embedded.release)
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
        settings = self.settings.database
        url = self.service_url()
        role = await role_to_assume(url, settings.connect_timeout, is_production=self.settings.is_production)
        brokers = Brokers.of(self.settings, url, role)
        catalog = await self._read_database(url)
        settings = settings.model_copy(update={"pool_max_size": await self._pool_size(url)})
        pool = TablePool(url, settings, role=role)
        await pool.warm()
        engine = make_engine(url, settings, role=role)
        unit_of_work = UnitOfWork(engine)
        security, auth = self.settings.security, self.metrics.auth
        policy = Policy(unit_of_work, catalog, security.credential_cache_seconds)
        signer = TokenSigner(self.secret(), security.access_token_seconds)
        self.metrics.pools.watch("tables", pool.connections)
        pool.on_statement = self.metrics.statements.observe
        on_engine(engine, self.metrics.statements.observe)
        authenticator = Authenticator(unit_of_work, signer, security, self.settings.connect)
        second_factors = SecondFactors(unit_of_work, self.secret())
        statements = StatementCache()
        change_log = ChangeLog(pool, statements, Cursors(self.secret()), max(1, settings.pool_max_size // 4))
        hub = Hub(change_log, self.settings.feed, self.metrics.feed)
        follower = Follower(partial(self._connect_apart, url, role), hub, self.settings.feed.feed_poll_seconds)
        hub.follower = follower
        self.metrics.feed.watch_follower(lambda: follower.is_connected)
        notifier = Notifier(pool)
        upkeep = Upkeep(pool, self.settings.change_log)
        self.metrics.watch_change_log(lambda: upkeep.figures)
        waker = Waker(brokers)
        queue_watch = QueueWatch(unit_of_work)
        self.metrics.jobs.watch(lambda: queue_watch.figures)

        def import_jobs(work: UnitOfWork) -> ImportJobs:
            return ImportJobs(work, policy, authenticator, statements, self.settings.imports)

        worker = None
        if self._runs_jobs():
            worker = self.make_worker(self.settings, url, role, self.metrics, self.tracing, imports=import_jobs)
        pool.on_write = partial(_tell, hub, notifier)
        api = self.settings.api
        bounds = Bounds(api.api_max_rows, api.api_max_depth, allows_aggregates=False)
        copies = CopyPool(url, settings, self.settings.exports, role=role)
        copies.on_statement = self.metrics.statements.observe
        self.metrics.pools.watch("exports", copies.connections)
        self.runtime = Runtime(
            pool=pool,
            copies=copies,
            exporter=Exporter(copies, policy, statements, max_cost=api.api_max_plan_cost),
            export_files=ExportFiles(self.settings.exports),
            engine=engine,
            policy=policy,
            authenticator=authenticator,
            logins=Logins(unit_of_work, signer, LoginThrottle(security, auth), second_factors, security, auth),
            sessions=Sessions(unit_of_work, security, auth),
            second_factors=second_factors,
            csrf=Csrf(self.secret()),
            statements=statements,
            import_bodies=Bodies(unit_of_work, JobQueue(waker.wake), self.settings.imports),
            import_slots=Slots(self.settings.imports.import_at_once, settings.pool_timeout),
            listener=Listener(
                self._listen_url(url),
                settings,
                role,
                RELOAD_CHANNEL,
                self.reload,
                {CHANGES_CHANNEL: partial(_heard, hub, notifier.identity)},
            ),
            tickets=Tickets(unit_of_work, authenticator),
            links=Links(self.secret(), authenticator, self.settings.exports.export_link_seconds),
            hub=hub,
            follower=follower,
            guard=Guard(policy, make_engine(url, settings, role=role, size=1), signer, security, self.settings.connect),
            probe=DatabaseProbe(partial(asyncpg.connect, url, server_settings={"application_name": _PROBE_NAME})),
            notifier=notifier,
            upkeep=upkeep,
            unit_of_work=unit_of_work,
            waker=waker,
            queue=JobQueue(waker.wake),
            queue_watch=queue_watch,
            worker=worker,
            subscriptions=Subscriptions(
                unit_of_work,
                authenticator,
                Feeds(policy, hub.log, bounds),
                self.targets,
                Secrets(self.secret()),
                self.settings.webhooks,
            ),
            delivery_log=DeliveryLog(unit_of_work),
            request_traces=RequestTraces(pool),
            tracing=self.tracing,
        )
        for task in (self.runtime.listener, hub, follower, self.runtime.guard, notifier, upkeep, waker, queue_watch):
            task.start()
        if worker is not None:
            worker.start()
            self._besides = self.beside(self.runtime, self.settings, self.metrics, self.targets)
            for beside in self._besides:
                beside.start()

    async def _pool_size(self, url: str) -> int:
        """As many connections as POOL_MAX_SIZE says, if there are as many to have."""
        database = self.settings.database
        jobs = self.settings.jobs.jobs_at_once if self._runs_jobs() else None
        return await fitting_pool_size(
            url,
            database.pool_max_size,
            self.settings.server.web_concurrency,
            beside_the_pool(self.settings.exports.export_connections, jobs),
            database.connect_timeout,
        )

    def _runs_jobs(self) -> bool:
        """Whether jobs run inside this process."""
        wanted = self.settings.jobs.jobs_inside
        return self.embedded is not None if wanted is None else wanted

    async def _connect_apart(self, url: str, role: str | None) -> Connection:
        """A connection outside the pools, for what holds one all the time."""
        settings = self.settings.database
        session = session_settings(settings, role) | {"statement_timeout": f"{_LOOK_SECONDS}s"}
        return await asyncpg.connect(
            url, timeout=settings.connect_timeout, command_timeout=_LOOK_SECONDS + 5, server_settings=session
        )

    def _listen_url(self, url: str) -> str:
        """Where notifications can be listened to: not through a pooler that hands connections around."""
        apart = self.settings.feed.listen_database_url
        return url if apart is None else apart.get_secret_value()

    async def drain(self) -> None:
        """The service is about to stop: whoever follows is sent to another process."""
        self.is_draining = True
        if self.runtime is not None:
            await self.runtime.hub.drain()

    async def reload(self) -> None:
        """Read the catalog again. Until it has been read, and if it cannot be, requests go on with the old one."""
        runtime = self.connected()
        try:
            catalog = await self._read_database(self.service_url())
        except (*LOST, asyncpg.PostgresError, DatabaseUnavailable) as error:
            _log.warning("catalog_not_reloaded", reason=type(error).__name__)
            return
        runtime.policy.take(catalog)
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

    async def _read_database(self, url: str) -> Catalog:
        connection = await asyncpg.connect(url, timeout=self.settings.database.connect_timeout)
        try:
            state = await migrations.pending(connection)
            if not state.is_current:
                self.waiting_for = f"Migrations are pending ({', '.join(state.pending)}): run `rowhouse migrate`."
                raise DatabaseUnavailable(self.waiting_for)
            return await read_catalog(connection, declared_catalog(TableBase), self.settings.database.exposed_schemas)
        finally:
            await connection.close()


def _tell(hub: Hub, notifier: Notifier) -> None:
    """This process has committed something."""
    hub.wake()
    notifier.wake()


def _heard(hub: Hub, own: str, sender: str) -> None:
    """A process has committed something."""
    if sender != own:
        hub.wake()
