"""Reading a table as it was."""

from dataclasses import replace
from datetime import UTC, datetime

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.core.errors import InvalidQuery, PastUnknown
from service.core.types import Action
from service.db.pool import TablePool
from service.events.log import ChangeLog
from service.query.plan import Bind, BindKind, Past, ReadPlan, Since

_IS_UNKNOWN = "select rowhouse.past_is_unknown($1::text[]::int[], $2::text::pg_snapshot, $3::text::timestamptz)"
_REASONS = {
    "dropped": "The change log does not reach back so far: retention has dropped it.",
    "untracked": "The table was not tracked then, or one of its columns had another name.",
    "unlogged": "Rows went by a TRUNCATE that could not be logged.",
}


class TimeMachine:
    """Turns reads of a table into reads of what it was."""

    def __init__(self, log: ChangeLog, pool: TablePool, policy: Policy) -> None:
        self._log = log
        self._pool = pool
        self._policy = policy

    async def at(self, plan: ReadPlan, moment: str, principal: Principal) -> ReadPlan:
        """The plan, of the rows as they were at a moment: a time (ISO 8601), or a cursor of the feed.

        What the caller may see is decided by today's rights, on the rows as they were.

        Raises:
            InvalidQuery: it is no moment; it embeds, or asks for what is computed.
            Conflict: the table is not tracked, or the log lacks a column that is needed.
            PastUnknown: the log does not reach back so far.
            AuthenticationFailed, Forbidden: the caller may not read the table.
        """
        if plan.embeds:
            raise InvalidQuery("Tables are read one by one as they were.", hint="Leave out what is embedded.")
        logged = await self._log.tracked(plan.resource)
        logged.require(plan, self._policy.rows(principal, plan.resource, Action.READ))
        tracked = Bind(logged.numbers, BindKind.LIST)
        past = self._of_cursor(moment, tracked) if _is_cursor(moment) else Past(tracked, time=Bind(time_of(moment)))
        seen = past.since.seen.value if past.since else None
        time = past.time.value if past.time else None
        row = await self._pool.read(_IS_UNKNOWN, [logged.numbers, seen, time])
        assert row is not None
        if row[0] is not None:
            raise PastUnknown(_REASONS[row[0]])
        return replace(plan, select=logged.shown(plan), past=past)

    def _of_cursor(self, text: str, tracked: Bind) -> Past:
        cursor = self._log.cursors.read(text)
        if cursor.life != self._log.life:
            raise PastUnknown("The cursor is of another life of the database.", hint="Name a time instead.")
        place = cursor.position
        return Past(tracked, since=Since(Bind(place.seen), Bind(place.until), Bind(str(place.seq))))


def _is_cursor(moment: str) -> bool:
    return moment.count(".") == 2


def time_of(text: str) -> str:
    """A time as PostgreSQL reads it; without a zone it is UTC. A plus that came as a space is taken for what it was.

    Raises:
        InvalidQuery: it is none.
    """
    zoned = text[:-6] + "+" + text[-5:] if text[-6:-5] == " " and "T" in text else text
    try:
        time = datetime.fromisoformat(zoned)
    except ValueError:
        raise InvalidQuery(
            f"{text!r} is no time.", hint="Write 2026-01-31T12:00:00Z; as_of also takes a cursor of the feed."
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()
