"""Reading a table as it was."""

from dataclasses import replace
from datetime import UTC, datetime

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.core.errors import InvalidQuery, PastUnknown
from service.core.types import Action
from service.db.runner import Runner
from service.events.log import ChangeLog
from service.query.plan import And, Bind, BindKind, ColumnRef, Comparison, Operator, Past, ReadPlan, Since

_IS_UNKNOWN = "select rowhouse.past_is_unknown($1::text[]::int[], $2::text::pg_snapshot, $3::text::timestamptz)"
_REASONS = {
    "dropped": "The change log does not reach back so far: retention has dropped it.",
    "untracked": "The table was not tracked then, or one of its columns had another name or type.",
    "unlogged": "Rows went by a TRUNCATE that could not be logged.",
}


class TimeMachine:
    """Turns reads of a table into reads of what it was."""

    def __init__(self, log: ChangeLog, runner: Runner, policy: Policy) -> None:
        self._log = log
        self._runner = runner
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
        since = self._since(moment) if _is_cursor(moment) else None
        time = None if since else Bind(time_of(moment))
        past = Past(Bind(logged.numbers, BindKind.LIST), since, time, _key_of(plan), logged.is_family)
        moments = [since.seen.value if since else None, time.value if time else None]
        row = await self._runner.read(_IS_UNKNOWN, [logged.numbers, *moments])
        assert row is not None
        if row[0] is not None:
            raise PastUnknown(_REASONS[row[0]])
        return replace(plan, select=logged.shown(plan), past=past)

    def _since(self, text: str) -> Since:
        cursor = self._log.cursors.read(text)
        if cursor.life != self._log.life:
            raise PastUnknown("The cursor is of another life of the database.", hint="Name a time instead.")
        place = cursor.position
        return Since(Bind(place.seen), Bind(place.until), Bind(str(place.seq)))


def _key_of(plan: ReadPlan) -> tuple[Bind, ...]:
    """The key of the only row that the plan can have, in binds of its own; or nothing."""
    terms = plan.where.terms if isinstance(plan.where, And) else (plan.where,)
    values = {
        term.column.name: term.operand
        for term in terms
        if isinstance(term, Comparison)
        and term.operator is Operator.EQ
        and term.quantifier is None
        and isinstance(term.column, ColumnRef)
        and not (term.column.cast or term.column.path)
        and term.operand is not None
    }
    key = plan.resource.key
    return tuple(replace(values[name]) for name in key) if key and values.keys() >= set(key) else ()


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
