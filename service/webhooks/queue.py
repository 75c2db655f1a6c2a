"""Due deliveries: taken by one worker each, for a while, and finished or put off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import structlog

from service.db.pool import TablePool
from service.db.runner import Row
from service.subscriptions.message import Message
from service.webhooks.rights import SUBSCRIPTION, Subscription
from service.webhooks.sender import Answer
from service.webhooks.verdict import Verdict

_log = structlog.get_logger()
# By webhook, so that what is stopped is not looked through. The one with the least under way goes first: receivers that
# hang, however much waits for them, leave the others their turn.
_CLAIM = f"""
with due as (
    select d.id, d.due_at,
           coalesce(busy.number, 0) + row_number() over (partition by w.id order by d.due_at, d.id) as turn
    from rowhouse.webhooks w
    left join unnest($2::uuid[], $3::int[]) busy (webhook, number) on busy.webhook = w.id
    cross join lateral (
        select d.id, d.due_at from rowhouse.deliveries d
        where d.webhook = w.id and d.state = 'pending' and d.due_at <= now()
        order by d.due_at, d.id limit greatest($4::int - coalesce(busy.number, 0), 0) for update skip locked) d
    where w.state = 'active'
), chosen as (
    select id from due order by turn, due_at limit $1::int
)
update rowhouse.deliveries d
set due_at = now() + $5::interval, attempts = d.attempts + 1, worker = $6::text
from chosen, rowhouse.webhooks w where d.id = chosen.id and w.id = d.webhook
returning {SUBSCRIPTION}, d.id, d.attempts, d.message, convert_to(d.body, 'UTF8'), w.url, w.events, w.generation,
          coalesce(w.rotated_at + $7::interval > now(), false), w.failing_since is not null, d.traceparent
"""  # noqa: S608 (all of it is written here)
_FINISH = "select rowhouse.finish_delivery($1, $2, $3, $4, $5, $6, $7)"
_PUT_OFF = """
update rowhouse.deliveries
set due_at = now() + make_interval(secs => $3::float8), status = $4, duration_ms = $5, answer = $6, error = $7
where id = $1 and attempts = $2 and state = 'pending' returning true
"""
_RENEW = """
update rowhouse.deliveries set type = $3, body = $4 where id = $1 and attempts = $2 and state = 'pending' returning true
"""
# Its lease goes on, so that it is not looked at again at once.
_GIVE_BACK = """
update rowhouse.deliveries set attempts = attempts - 1 where id = $1 and attempts = $2 and state = 'pending'
returning true
"""
_NOT_SEEN = "Not sent: the owner may not see this change any more, or the log no longer has it to be read again."
_SUCCEEDED = "update rowhouse.webhooks set failing_since = null where id = $1 and failing_since is not null"
_FAILED = """
update rowhouse.webhooks
set failing_since = coalesce(failing_since, now()),
    state = case when $2 or failing_since < now() - $3::interval then 'disabled' else state end,
    reason = case when $2 then 'The receiver answered 410 Gone.'
                  when failing_since < now() - $3::interval then 'All attempts have failed for too long.' end
where id = $1 and state = 'active' and ($2 or failing_since is null or failing_since < now() - $3::interval)
returning state
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this worker has until its lease runs out. `attempt` counts from 1."""

    subscription: Subscription
    id: int
    attempt: int
    message: str
    body: bytes
    url: str
    events: Sequence[str]
    generation: int
    is_overlap: bool
    is_failing: bool
    traceparent: str | None

    @property
    def webhook(self) -> UUID:
        return self.subscription.webhook


class Queue:
    """The deliveries in the database.

    Its statements are told to the pool as reads: repeated after a lost connection they do no harm, since an attempt is
    known by its number, and no feed needs to hear of them.
    """

    def __init__(self, pool: TablePool, worker: str, lease: timedelta, overlap: timedelta, patience: timedelta) -> None:
        """`patience` is how long a webhook may fail without an end before it is disabled."""
        self._pool = pool
        self._worker = worker
        self._lease = lease
        self._overlap = overlap
        self._patience = patience

    async def claim(self, most: int, busy: Mapping[UUID, int], most_each: int) -> list[Claimed]:
        """Take so many at most; of one webhook so many less those that are busy already."""
        arguments = (most, list(busy), list(busy.values()), most_each, self._lease, self._worker, self._overlap)
        rows = await self._pool.read_all(_CLAIM, arguments)
        return [_claimed(row) for row in rows]

    async def settle(self, one: Claimed, answer: Answer, verdict: Verdict) -> bool:
        """Write down what came of an attempt. Returns whether it still counts: not where the lease has run out."""
        told = (answer.status, round(answer.seconds * 1000), answer.body, answer.error)
        if verdict.retry is None:
            row = await self._pool.read(_FINISH, (one.id, one.attempt, verdict.outcome, *told))
        else:
            row = await self._pool.read(_PUT_OFF, (one.id, one.attempt, verdict.retry, *told))
        await self._note(one, answer, verdict)
        return row is not None and bool(row[0])

    async def give_back(self, one: Claimed) -> None:
        """It was not tried: until its lease has run out it is nobody's."""
        await self._pool.read(_GIVE_BACK, (one.id, one.attempt))

    async def renew(self, one: Claimed, message: Message) -> Claimed:
        """Keep what it has become."""
        await self._pool.read(_RENEW, (one.id, one.attempt, message.type, message.body))
        return replace(one, body=message.body.encode())

    async def drop(self, one: Claimed) -> None:
        """It is dead: there is nothing of it that may be sent."""
        await self._pool.read(_FINISH, (one.id, one.attempt, "dead", None, None, None, _NOT_SEEN))

    async def _note(self, one: Claimed, answer: Answer, verdict: Verdict) -> None:
        if not answer.is_success:
            row = await self._pool.read(_FAILED, (one.webhook, verdict.is_gone, self._patience))
            if row is not None and row[0] == "disabled":
                _log.warning("webhook_disabled", webhook=str(one.webhook), is_gone=verdict.is_gone)
        elif one.is_failing:
            await self._pool.read(_SUCCEEDED, (one.webhook,))


def _claimed(row: Row) -> Claimed:
    number, attempt, message, body, url, events, generation, is_overlap, is_failing, traceparent = (
        row[7 + n] for n in range(10)
    )
    return Claimed(
        subscription=Subscription.of(row),
        id=number,
        attempt=attempt,
        message=message,
        body=body,
        url=url,
        events=events,
        generation=generation,
        is_overlap=is_overlap,
        is_failing=is_failing,
        traceparent=traceparent,
    )
