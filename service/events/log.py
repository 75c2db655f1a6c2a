"""Reading the change log."""

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from websockets.frames import Frame, Opcode

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.catalog.resource import Resource
from service.core.errors import Conflict, DatabaseUnavailable, RowhouseError
from service.core.states import QUERY_CANCELED
from service.core.types import Action
from service.crud.statements import StatementCache
from service.db.runner import Row, Runner
from service.events.event import Event, changed
from service.events.logged import Entry, Logged
from service.events.position import Cursors, Position
from service.query.compile.columns import qualified
from service.query.compile.feed import compile_feed
from service.query.plan import Bind, FeedPlan, FollowedTable
from service.query.walk import binds

PAGE = 500
# Rows may be large: after a page of such, the next have fewer.
PAGE_BYTES = 4_000_000
_WINDOW = 20_000
_DIGEST_BYTES = 6
# Each part of what a snapshot does not see is a range of one index, looked up by itself: left to choose by statistics,
# PostgreSQL reads the whole log each time once most of it was written by a few transactions, as loads are.
_UNSEEN = """
    (select pg_snapshot_xmax($1::text::pg_snapshot) as first, '18446744073709551615'::xid8 as last
     union all select xip, xip from pg_snapshot_xip($1::text::pg_snapshot) xip) unseen
    cross join lateral (select c.xid, c.seq, c.at, c.tracked from rowhouse.changes c
                        where c.xid between unseen.first and unseen.last offset 0) c
where c.seq >= (select first_seq from rowhouse.log_state)
"""
# The statement's own snapshot is what it reads by: nothing lies between the two.
BATCH = f"""
select pg_current_snapshot()::text, min(seq), max(seq), array_agg(distinct tracked),
       coalesce(extract(epoch from clock_timestamp() - min(at)), 0)::float8
from {_UNSEEN}
"""  # noqa: S608 (all of it is written here)
EXTENT = f"""
select min(seq), max(seq) from {_UNSEEN}
and tracked = any ($2::int[]) and pg_visible_in_snapshot(xid, $3::text::pg_snapshot)
"""  # noqa: S608
_NOW = "select pg_current_snapshot()::text"
# A snapshot that sees nothing that was logged.
_NOTHING = "1:1:"
# Nor may it end ahead of the present, as a crash may leave it behind.
_CAN_FOLLOW = """
select rowhouse.can_follow($1::text::pg_snapshot, $2::int[])
       and pg_snapshot_xmax($3::text::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
"""
_ENTRY = """
    t.id, t.xid::text, t.excluded::text,
    array(select c.id from rowhouse.tracked c where c.parent = t.id and c.until is null order by 1)::text
"""
_ENTRIES = sa.text(f"select {_ENTRY} from rowhouse.tracked t where t.until is null")  # noqa: S608
# What is virtual is generated when it is read, and triggers do not see it.
_TRACKED = f"""
with recursive family as (
    select id from rowhouse.tracked where until is null and relation = to_regclass($1)
    union
    select t.id from rowhouse.tracked t join family f on t.parent = f.id where t.until is null
)
select {_ENTRY},
       t.excluded || array(select attname::text from pg_attribute
                           where attrelid = to_regclass($1) and attgenerated::text = 'v'),
       row_security_active(to_regclass($1)) or not has_table_privilege(to_regclass($1), 'select'),
       max(case when t.known <@ rowhouse.known_now(t.relation) then t.read_since else 'infinity' end) over ()::text
from family join rowhouse.tracked t using (id)
"""  # noqa: S608
_NAMES = """
select n.nspname::text, c.relname::text
from rowhouse.tracked t join pg_class c on c.oid = t.relation join pg_namespace n on n.oid = c.relnamespace
where t.until is null and t.parent is null and not row_security_active(c.oid) order by 1, 2
"""


async def entries(session: AsyncSession) -> dict[int, Entry]:
    """All that is tracked now, by number."""
    return {row[0]: Entry.of(row) for row in await session.execute(_ENTRIES)}


@dataclass(frozen=True, slots=True)
class Feed:
    """Tables that are followed, as one caller may see them. Feeds that are equal share all their work."""

    tables: tuple[FollowedTable, ...]
    values: tuple[object, ...]
    digest: str

    @classmethod
    def of(cls, tables: tuple[FollowedTable, ...]) -> "Feed":
        values = tuple(_hashable(bind.value) for bind in binds(_plan(tables, Position("", ""), 0, 0)))
        return cls(tables, values, _digest(tables))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(table.read.resource.name for table in self.tables)

    @property
    def tracked(self) -> list[int]:
        """The numbers of the tables in the log."""
        numbers: list[int] = []
        for table in self.tables:
            assert isinstance(table.tracked.value, list)
            numbers += map(int, table.tracked.value)
        return numbers


@dataclass(frozen=True)
class Page:
    """Changes in order, which may be none of those that were looked at, up to number `seq`. `cursor` is of one who has
    them. `is_full` where as many more may follow at once.
    """

    events: list[Event]
    seq: int
    cursor: str
    is_full: bool

    @cached_property
    def size(self) -> int:
        """In bytes."""
        return sum(len(event.body) for event in self.events)

    @cached_property
    def frames(self) -> bytes:
        """As a server writes them to each WebSocket (RFC 6455, section 5.2)."""
        return b"".join(Frame(Opcode.TEXT, event.body).serialize(mask=False) for event in self.events)


class ChangeLog:
    """The log as followers read it: between two snapshots, in order, page by page; by so many at once, however many
    feeds there are: requests want connections as well.
    """

    def __init__(self, runner: Runner, statements: StatementCache, cursors: Cursors, readers: int) -> None:
        self._runner = runner
        self._statements = statements
        self._readers = readers
        self._reading = asyncio.Semaphore(readers)
        self.cursors = cursors

    def within(self, runner: Runner) -> "ChangeLog":
        """The same, read by a transaction: who has a connection must not wait for another."""
        return ChangeLog(runner, self._statements, self.cursors, self._readers)

    @property
    def life(self) -> str:
        return self._runner.epoch

    async def tracked(self, resource: Resource) -> Logged:
        """What the log has of a table and of those that inherit from it.

        Raises:
            Conflict: its changes are not logged; or PostgreSQL itself hides rows, and would not hide them in the log.
        """
        rows = await self._runner.read_all(_TRACKED, [qualified(resource.table.schema, resource.table.name)])
        if not rows:
            raise Conflict(
                f"The changes of {resource.name!r} are not logged, so they cannot be followed.",
                hint="An administrator can begin to log them: rowhouse track TABLE.",
                code="not_tracked",
            )
        if any(row[5] for row in rows):
            raise Conflict(
                f"{resource.name!r} has row-level security, which the change log does not know of: it has no feed.",
                code="not_tracked",
            )
        excluded = frozenset(name for row in rows for name in row[4])
        return Logged(tuple(Entry.of(row) for row in rows), excluded, read_since=rows[0][6])

    async def readable(self, policy: Policy, principal: Principal) -> list[str]:
        """The names of the tables that are tracked, and that the caller may read."""
        catalog = policy.visible(principal)
        rows = await self._runner.read_all(_NAMES, [])
        found = [catalog.find(row[1], row[0]) for row in rows]
        return [one.name for one in found if one is not None and policy.may(principal, one, Action.READ)]

    async def check(self, feed: Feed) -> None:
        """Let PostgreSQL read the values of the feed's filters: later, nobody would be there to be told.

        Raises:
            InvalidBody: it cannot read one as its column's type.
        """
        plan = _plan(feed.tables, Position.at(_NOTHING), 0, 0)
        statement = self._statements.get(compile_feed, plan)
        await self._runner.read_all(statement.sql, statement.arguments(plan, self.life))

    async def can_follow(self, feed: Feed, position: Position) -> bool:
        """Whether nothing is gone that a reader at this position has not had."""
        row = await self._runner.read(_CAN_FOLLOW, [position.seen, feed.tracked, position.until])
        return row is not None and bool(row[0])

    async def between(self, feed: Feed, position: Position) -> AsyncIterator[Page]:
        """The changes of a feed from a position on, up to its `until`, in pages."""
        (row,) = await self._read(EXTENT, [position.seen, feed.tracked, position.until])
        if row[0] is not None:
            start = replace(position, seq=max(position.seq, row[0] - 1))
            async for page in self.pages(feed, start, row[1]):
                yield page

    async def pages(self, feed: Feed, position: Position, last: int) -> AsyncIterator[Page]:
        """The changes of a feed from a position on, up to a number, in pages."""
        batch = self.cursors.batch(self.life, feed.digest, position.seen, position.until)
        most = PAGE
        while position.seq < last:
            # However few changes match, a statement looks at so many at most.
            window = min(last, position.seq + _WINDOW)
            plan = _plan(feed.tables, position, window, most)
            statement = self._statements.get(compile_feed, plan)
            rows = await self._read(statement.sql, statement.arguments(plan, self.life))
            is_full = len(rows) == most
            position = replace(position, seq=rows[-1][0] if is_full else window)
            events = [changed(row, feed.names, batch, self.life) for row in rows]
            page = Page(events, position.seq, f"{batch}.{position.seq}", is_full)
            yield page
            if events:
                most = min(PAGE, max(1, PAGE_BYTES * len(events) // page.size))

    async def change(self, feed: Feed, seq: int) -> Event | None:
        """One change as the feed has it now; None where it has not, or the log has no longer."""
        (row,) = await self._read(_NOW, [])
        async for page in self.pages(feed, Position(_NOTHING, row[0], seq - 1), seq):
            if page.events:
                return page.events[0]
        return None

    async def _read(self, sql: str, arguments: Sequence[object]) -> Sequence[Row]:
        """Reading the log takes as long as the database is busy: that it was stopped is no fault of a caller's.

        Raises:
            DatabaseUnavailable: the statement was stopped, or what else it raises.
        """
        try:
            async with self._reading:
                return await self._runner.read_all(sql, arguments)
        except RowhouseError as error:
            if error.stable_code == QUERY_CANCELED:
                raise DatabaseUnavailable("The database is too busy to read the change log; try again.") from error
            raise


def _plan(tables: tuple[FollowedTable, ...], position: Position, last: int, limit: int) -> FeedPlan:
    return FeedPlan(
        tables,
        seen=Bind(position.seen),
        until=Bind(position.until),
        after=Bind(str(position.seq)),
        last=Bind(str(last)),
        limit=Bind(str(limit)),
    )


def _digest(tables: tuple[FollowedTable, ...]) -> str:
    """What of the tables is seen. A cursor of another feed knows nothing of the rows that only this one has."""
    seen = [(one.read.resource.name, one.read.select, one.where, one.visible, *_shown_of(one)) for one in tables]
    return urlsafe_b64encode(hashlib.sha256(repr(seen).encode()).digest()[:_DIGEST_BYTES]).decode()


def _shown_of(table: FollowedTable) -> tuple[str, ...]:
    """The columns that may be read, where that are not all."""
    return tuple(table.read.resource.columns) if table.read.resource.hides_columns else ()


def _hashable(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
