"""Makes deliveries of the changes in the log.

A webhook's position in the log moves in the transaction that adds its deliveries: after a crash nothing is missing, and
nothing is there twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from uuid import UUID

import structlog

from service.core.background import Background
from service.core.errors import RowhouseError
from service.core.settings import WebhookSettings
from service.db.pool import TablePool
from service.db.transaction import Transaction
from service.events.event import Event, Kind
from service.events.log import BATCH, ChangeLog, Feed
from service.events.position import Position
from service.events.request_traces import hand_on
from service.subscriptions.message import Message
from service.webhooks.patience import Patience
from service.webhooks.rights import SUBSCRIPTION, UNREADABLE, Rights, Subscription

_log = structlog.get_logger()
# So often all are brought up to date, also those that nothing has happened to: retention must not overtake them.
_ALL_SECONDS = 60.0
# However much is committed.
_LEAST_SECONDS = 0.05
_ACTIVE = f"select {SUBSCRIPTION} from rowhouse.webhooks w where w.state = 'active' order by w.id"  # noqa: S608
_NOW = "select pg_current_snapshot()::text"
_LOCK = """
select w.life, w.seen, w.until, w.seq, w.events,
       (select count(*) from (select from rowhouse.lanes l where l.webhook = w.id limit $2::bigint) l)
from rowhouse.webhooks w where w.id = $1 and w.state = 'active' for no key update skip locked
"""
_ENQUEUE = "select rowhouse.enqueue_deliveries($1, $2, $3, $4, $5, $6)"
_MOVE = "update rowhouse.webhooks set life = $2, seen = $3, until = $4, seq = $5 where id = $1"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a webhook stands, its row locked."""

    life: str
    position: Position
    events: Sequence[str]
    waiting: int


class Collector(Background):
    """Looks at the log for all webhooks together, and then for each that something may have happened to.

    Several processes may do it at once: a webhook is one's at a time.
    """

    def __init__(
        self,
        pool: TablePool,
        log: ChangeLog,
        rights: Rights,
        settings: WebhookSettings,
        on_due: Callable[[], None],
        *,
        is_traced: bool,
    ) -> None:
        """`on_due` is called when deliveries were added. `is_traced`: they go on with the traces of requests."""
        self._pool = pool
        self._change_log = log
        self._rights = rights
        self._most_waiting = settings.webhook_max_waiting
        self._every = settings.webhook_poll_seconds
        self._on_due = on_due
        self._is_traced = is_traced
        self._woken = asyncio.Event()
        self._seen: str | None = None
        self._all_at = 0.0
        # Those that had all that `_seen` sees, and the log's numbers of what they follow.
        self._up_to_date: dict[UUID, frozenset[int]] = {}
        self._patience = Patience()

    def wake(self) -> None:
        """Something was committed."""
        self._woken.set()

    async def once(self) -> None:
        """All that has happened.

        Raises:
            RowhouseError: the database cannot be reached.
        """
        webhooks = [Subscription.of(row) for row in await self._pool.read_all(_ACTIVE, ())]
        if not webhooks:
            return
        standing = {one.webhook: one for one in await self._rights.standing(webhooks)}
        changed = await self._look()
        before, self._up_to_date = self._up_to_date, {}
        for webhook in self._patience.choose(standing):
            followed = before.get(webhook)
            if followed is None or not followed.isdisjoint(changed):
                followed = await self._bring_up_to_date(standing[webhook])
            if followed is not None:
                self._up_to_date[webhook] = followed

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self.once()
            except RowhouseError as error:
                _log.warning("webhooks_not_collected", reason=error.code, message=error.message)
            except Exception:  # whatever it is, the next time may go well
                _log.exception("webhooks_not_collected")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._woken.wait()
            await asyncio.sleep(_LEAST_SECONDS)

    async def _look(self) -> frozenset[int]:
        """The log's numbers of the tables that have changed since the last look."""
        if self._seen is None or monotonic() - self._all_at > _ALL_SECONDS:
            self._all_at = monotonic()
            self._up_to_date = {}
            row = await self._pool.read(_NOW, ())
        else:
            row = await self._pool.read(BATCH, (self._seen,))
        assert row is not None
        self._seen = row[0]
        return frozenset() if not self._up_to_date else frozenset(row[3] or ())

    async def _bring_up_to_date(self, one: Subscription) -> frozenset[int] | None:
        """Collect a page, so that all get their turn. None where something is left: more pages, too much that waits
        already, what another process has, or what could not be read.
        """
        try:
            feed = await self._rights.feed(one)
            is_whole = None if feed is None else await self._collect(one, feed)
        except RowhouseError as error:  # a filter that takes too long, say: the others are not to wait for it
            self._patience.failed(one.webhook)
            _log.warning("webhook_not_collected", webhook=str(one.webhook), reason=error.stable_code)
            return None
        self._patience.succeeded(one.webhook)
        if is_whole is False:
            self._woken.set()
        return frozenset(feed.tracked) if feed is not None and is_whole else None

    async def _collect(self, one: Subscription, feed: Feed) -> bool | None:
        """A page of changes. Returns whether that was all there is now; None where it is not to be had now."""
        async with self._pool.transaction() as transaction:
            place = await self._lock(transaction, one.webhook)
            if place is None or place.waiting >= self._most_waiting:
                return None
            now = await transaction.read(_NOW, ())
            assert now is not None
            position = place.position
            reaches_now = position.seen == position.until
            if reaches_now:
                position = Position(position.seen, now[0])
            log = self._change_log.within(transaction)
            if place.life != log.life or not await log.can_follow(feed, position):
                return await self._skip(transaction, one, now[0])
            try:
                async with transaction.savepoint():
                    page = await _page(log, feed, position)
            except UNREADABLE:  # what was logged does not fit the table any more; what it holds now can be read
                return await self._skip(transaction, one, now[0])
            told = (*place.events, Kind.MUST_REFETCH)
            page_told = [event for event in page if event.kind in told]
            messages = [self._message(one, event) for event in page_told]
            if messages:
                await self._enqueue(transaction, one.webhook, messages)
                if self._is_traced:
                    numbers = [self._change_log.cursors.read(event.id).position.seq for event in page_told]
                    await hand_on(transaction, one.webhook, [message.id for message in messages], numbers)
            if page:
                position = replace(position, seq=self._change_log.cursors.read(page[-1].id).position.seq)
            else:
                position = Position.at(position.until)
            await self._move(transaction, one.webhook, position)
        if messages:
            self._on_due()
        return reaches_now and not page

    async def _lock(self, transaction: Transaction, webhook: UUID) -> _Place | None:
        row = await transaction.read(_LOCK, (webhook, self._most_waiting))
        return None if row is None else _Place(row[0], Position(row[1], row[2], row[3]), row[4], row[5])

    async def _skip(self, transaction: Transaction, one: Subscription, now: str) -> bool:
        """Tell of the gap, once, and go on from now."""
        _log.warning("webhook_gap", webhook=str(one.webhook))
        gap = Message.of_gap(one.webhook, self._change_log.life, now, one.table)
        await self._enqueue(transaction, one.webhook, [gap])
        await self._move(transaction, one.webhook, Position.at(now))
        return True

    def _message(self, one: Subscription, event: Event) -> Message:
        cursor = self._change_log.cursors.read(event.id)
        if event.kind is Kind.MUST_REFETCH:  # of rows that went without being logged
            return Message.of_gap(one.webhook, cursor.life, str(cursor.position.seq), one.table)
        return Message.of_change(one.webhook, cursor.life, cursor.position.seq, one.table, event)

    async def _enqueue(self, transaction: Transaction, webhook: UUID, messages: Sequence[Message]) -> None:
        first, second = ([one.keys[place] if len(one.keys) > place else None for one in messages] for place in (0, 1))
        columns = ([one.id for one in messages], [one.type for one in messages], first, second)
        await transaction.write(_ENQUEUE, (webhook, *columns, [one.body for one in messages]))

    async def _move(self, transaction: Transaction, webhook: UUID, position: Position) -> None:
        place = (self._change_log.life, position.seen, position.until, position.seq)
        await transaction.write(_MOVE, (webhook, *place))


async def _page(log: ChangeLog, feed: Feed, position: Position) -> list[Event]:
    async for page in log.between(feed, position):
        if page.events:
            return page.events
    return []
