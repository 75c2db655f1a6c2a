"""What one running application holds of the database, made once it has been reached."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from service.auth.authenticate import Authenticator
from service.auth.csrf import Csrf
from service.auth.limits import LoginThrottle
from service.auth.links import Links
from service.auth.login import Logins
from service.auth.policy import Policy
from service.auth.second_factor import SecondFactors
from service.auth.sessions import Sessions
from service.auth.tickets import Tickets
from service.catalog.catalog import Catalog
from service.core.background import Background
from service.core.security import TokenSigner
from service.core.settings import DatabaseSettings, Settings
from service.core.slots import Busy, Slots
from service.crud.export import Exporter
from service.crud.export_files import ExportFiles
from service.crud.jobs import JobQueue
from service.crud.statements import StatementCache
from service.db.budget import beside_the_pool, fitting_pool_size
from service.db.connections import Connection
from service.db.copy import CopyPool
from service.db.engine import UnitOfWork, make_engine, on_engine
from service.db.pool import TablePool
from service.db.probe import DatabaseProbe
from service.db.role import role_to_assume
from service.db.session import session_settings
from service.events.follow import Follower
from service.events.guard import Guard
from service.events.hub import Hub
from service.events.log import ChangeLog
from service.events.notify import Notifier
from service.events.position import Cursors
from service.events.request_traces import RequestTraces
from service.events.upkeep import Upkeep
from service.jobs.broker import Brokers
from service.jobs.imports import Bodies, ImportJobs
from service.jobs.waker import Waker
from service.jobs.watch import QueueWatch
from service.observability.metrics import Metrics
from service.observability.tracing import Tracing
from service.query.parse.parameters import Bounds
from service.subscriptions.delivery_log import DeliveryLog
from service.subscriptions.feeds import Feeds
from service.subscriptions.message import Secrets
from service.subscriptions.store import Subscriptions
from service.subscriptions.target import Targets
from service.worker import Worker

_PROBE_NAME = "rowhouse probe"
# The follower may take longer than a request: a load of millions of rows is found in one look.
_LOOK_SECONDS = 300
_IMPORTS_BUSY = Busy("Too many imports run at once; nothing of this one was read.", "imports_busy", retry_after=10)
_FEEDS_BUSY = Busy("Too many feeds begin at once; try again.")


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

    def start(self) -> None:
        """What goes on by itself, and the worker last."""
        for task in self._background():
            task.start()
        if self.worker is not None:
            self.worker.start()

    async def stop(self) -> None:
        """In the reverse order; then let go of all connections."""
        if self.worker is not None:
            await self.worker.stop()
        for task in reversed(self._background()):
            await task.stop()
        await self.probe.close()
        await self.copies.close()
        await self.pool.close()
        await self.engine.dispose()

    def _background(self) -> tuple[Background, ...]:
        return (
            self.hub,
            self.follower,
            self.notifier,
            self.guard,
            self.upkeep,
            self.waker,
            self.queue_watch,
        )


@dataclass(frozen=True, slots=True)
class RuntimeMaker:
    """What a runtime is made from.

    `url` is the database's as the service's role, `secret` what all secrets are derived from. `make_worker` is None
    where jobs run in other processes.
    """

    settings: Settings
    metrics: Metrics
    targets: Targets
    tracing: Tracing
    url: str
    secret: str
    make_worker: Callable[..., Worker] | None
    read_catalog: Callable[[], Awaitable[Catalog]]

    async def make(self) -> Runtime:
        """A runtime that can serve; nothing of it goes on by itself yet.

        Raises:
            ConfigurationError: no amount of waiting would help.
            OSError, asyncpg.PostgresError, DatabaseUnavailable: the database is not there, or not ready.
        """
        security, url = self.settings.security, self.url
        role = await role_to_assume(
            url, self.settings.database.connect_timeout, is_production=self.settings.is_production
        )
        brokers = Brokers.of(self.settings, url, role)
        catalog = await self.read_catalog()
        database = self.settings.database.model_copy(update={"pool_max_size": await self._pool_size()})
        pool = await self._pool(database, role)
        engine = make_engine(url, database, role=role)
        on_engine(engine, self.metrics.statements.observe)
        unit_of_work = UnitOfWork(engine)
        policy = Policy(unit_of_work, catalog, security.credential_cache_seconds)
        signer = TokenSigner(self.secret, security.access_token_seconds)
        authenticator = Authenticator(unit_of_work, signer, security, self.settings.connect)
        second_factors = SecondFactors(unit_of_work, self.secret)
        throttle = LoginThrottle(security, self.metrics.auth)
        statements = StatementCache()
        copies = self._copies(database, role)
        hub = self._hub(database, pool, statements)
        notifier = Notifier(pool)
        pool.on_write = partial(_tell, hub, notifier)
        waker = Waker(brokers)
        queue = JobQueue(waker.wake)
        return Runtime(
            pool=pool,
            copies=copies,
            exporter=Exporter(copies, policy, statements, max_cost=self.settings.api.api_max_plan_cost),
            export_files=ExportFiles(self.settings.exports),
            engine=engine,
            policy=policy,
            authenticator=authenticator,
            logins=Logins(unit_of_work, signer, throttle, second_factors, security, self.metrics.auth),
            sessions=Sessions(unit_of_work, security, self.metrics.auth),
            second_factors=second_factors,
            csrf=Csrf(self.secret),
            statements=statements,
            import_bodies=Bodies(unit_of_work, queue, self.settings.imports),
            import_slots=Slots(self.settings.imports.import_at_once, database.pool_timeout, _IMPORTS_BUSY),
            tickets=Tickets(unit_of_work, authenticator),
            links=Links(self.secret, authenticator, self.settings.exports.export_link_seconds),
            hub=hub,
            follower=self._follower(database, role, hub),
            guard=Guard(policy, make_engine(url, database, role=role, size=1), signer, security, self.settings.connect),
            probe=DatabaseProbe(partial(asyncpg.connect, url, server_settings={"application_name": _PROBE_NAME})),
            notifier=notifier,
            upkeep=self._upkeep(pool),
            unit_of_work=unit_of_work,
            waker=waker,
            queue=queue,
            queue_watch=self._queue_watch(unit_of_work),
            worker=self._worker(role, policy, authenticator, statements),
            subscriptions=self._subscriptions(unit_of_work, authenticator, policy, hub),
            delivery_log=DeliveryLog(unit_of_work),
            request_traces=RequestTraces(pool),
            tracing=self.tracing,
        )

    async def _pool_size(self) -> int:
        """As many connections as POOL_MAX_SIZE says, if there are as many to have."""
        database = self.settings.database
        jobs = None if self.make_worker is None else self.settings.jobs.jobs_at_once
        return await fitting_pool_size(
            self.url,
            database.pool_max_size,
            self.settings.server.web_concurrency,
            beside_the_pool(self.settings.exports.export_connections, jobs),
            database.connect_timeout,
        )

    async def _pool(self, database: DatabaseSettings, role: str | None) -> TablePool:
        pool = TablePool(self.url, database, role=role)
        await pool.warm()
        pool.on_statement = self.metrics.statements.observe
        self.metrics.pools.watch("tables", pool.connections)
        return pool

    def _copies(self, database: DatabaseSettings, role: str | None) -> CopyPool:
        copies = CopyPool(self.url, database, self.settings.exports, role=role)
        copies.on_statement = self.metrics.statements.observe
        self.metrics.pools.watch("exports", copies.connections)
        return copies

    def _hub(self, database: DatabaseSettings, pool: TablePool, statements: StatementCache) -> Hub:
        change_log = ChangeLog(pool, statements, Cursors(self.secret), max(1, database.pool_max_size // 4))
        beginning = Slots(max(1, database.pool_max_size // 8), database.pool_timeout, _FEEDS_BUSY)
        return Hub(change_log, beginning, self.settings.feed, self.metrics.feed)

    def _follower(self, database: DatabaseSettings, role: str | None, hub: Hub) -> Follower:
        follower = Follower(
            partial(_connect_apart, self.url, database, role), hub, self.settings.feed.feed_poll_seconds
        )
        hub.follower = follower
        self.metrics.feed.watch_follower(lambda: follower.is_connected)
        return follower

    def _upkeep(self, pool: TablePool) -> Upkeep:
        upkeep = Upkeep(pool, self.settings.change_log)
        self.metrics.watch_change_log(lambda: upkeep.figures)
        return upkeep

    def _queue_watch(self, unit_of_work: UnitOfWork) -> QueueWatch:
        queue_watch = QueueWatch(unit_of_work)
        self.metrics.jobs.watch(lambda: queue_watch.figures)
        return queue_watch

    def _worker(
        self, role: str | None, policy: Policy, authenticator: Authenticator, statements: StatementCache
    ) -> Worker | None:
        if self.make_worker is None:
            return None

        def imports(work: UnitOfWork) -> ImportJobs:
            return ImportJobs(work, policy, authenticator, statements, self.settings.imports)

        return self.make_worker(self.settings, self.url, role, self.metrics, self.tracing, imports=imports)

    def _subscriptions(
        self, unit_of_work: UnitOfWork, authenticator: Authenticator, policy: Policy, hub: Hub
    ) -> Subscriptions:
        api = self.settings.api
        bounds = Bounds(api.api_max_rows, api.api_max_depth, allows_aggregates=False)
        feeds, secrets = Feeds(policy, hub.log, bounds), Secrets(self.secret)
        return Subscriptions(unit_of_work, authenticator, feeds, self.targets, secrets, self.settings.webhooks)


async def _connect_apart(url: str, database: DatabaseSettings, role: str | None) -> Connection:
    """A connection outside the pools, for what holds one all the time."""
    session = session_settings(database, role) | {"statement_timeout": f"{_LOOK_SECONDS}s"}
    return await asyncpg.connect(
        url, timeout=database.connect_timeout, command_timeout=_LOOK_SECONDS + 5, server_settings=session
    )


def _tell(hub: Hub, notifier: Notifier) -> None:
    """This process has committed something."""
    hub.wake()
    notifier.wake()
