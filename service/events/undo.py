"""Taking changes back: as ordinary writes, which policy restricts and the log keeps, in the opposite order.

A change is taken back only where nothing stands in its way: an update where the columns that it changed are still as it
left them (so that others' changes of other columns stay), an insert where the row is as it was inserted, a delete where
no row has its key.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.catalog.resource import Resource
from service.core.errors import Conflict, FieldError, LimitExceeded, RowhouseError, RowNotFound
from service.core.types import Action
from service.crud.read import Reader
from service.crud.write import Writer
from service.db.transaction import Transaction
from service.events.follow_request import make_feed
from service.events.history import History
from service.events.inverse import Change, Found, Step, key_of, place_of, steps
from service.events.log import ChangeLog
from service.events.logged import Logged
from service.query.compile.columns import qualified
from service.query.plan import Bind, BindKind, HistoryPlan, Holds, ReadPlan, Written

_MOST_REASONS = 20
# What an image has besides its columns: which of its nulls are those of JSON.
_NULLS_OF_JSON = ""
_OF_CHANGE = "c.seq = $1::text::bigint"
_OF_REQUEST = "c.request = $1"
_OF_TRANSACTION = "c.xid = $1::text::xid8 and c.seq >= (select first_seq from rowhouse.log_state)"
_CHANGES = """
select coalesce(json_agg(json_build_array(c.seq, n.nspname, r.relname, c.op, c.key, c.was::text, c.now::text,
    array(select a.key from json_each_text(c.now) a join json_each_text(c.was) b using (key)
          where a.value is distinct from b.value)) order by c.seq desc), '[]')
from (select * from rowhouse.changes c where {which} order by c.seq desc limit {most}) c
join rowhouse.tracked t on t.id = c.tracked
left join pg_class r on r.oid = t.relation left join pg_namespace n on n.oid = r.relnamespace
"""
_LATER = """
select c.seq, coalesce(c.actor, c.db_user) from rowhouse.changes c
join rowhouse.changes undone on undone.seq = $1::text::bigint and undone.tracked = c.tracked
where left(undone.key, 200) in (left(c.key, 200), left(c.old_key, 200)) and undone.key in (c.key, c.old_key)
  and c.seq > undone.seq and c.xid <> pg_current_xact_id()
order by c.seq desc limit 1
"""
# What takes a change back is a change itself: the last of the transaction, in the order in which they were asked for.
# Where two do it at once, the second waits here for the first.
_MARK = """
with by as (select c.seq from rowhouse.changes c
            where c.xid = pg_current_xact_id()
              and c.tracked = (select o.tracked from rowhouse.changes o where o.seq = ($1::text[])[1]::bigint)
            order by c.seq desc limit cardinality($1::text[])),
     pairs as (select u.change::bigint as change, b.seq as by
               from unnest($1::text[]) with ordinality u (change, n)
               join (select seq, row_number() over (order by seq) as n from by) b using (n)),
     marked as (insert into rowhouse.undone as u (change, by) select p.change, p.by from pairs p
                on conflict (change) do update set by = excluded.by where rowhouse.is_undone(u.by)
                returning u.change)
select p.change, u.by from pairs p left join rowhouse.undone u using (change)
where not exists (select from marked m where m.change = p.change) limit 1
"""
# Rows of tables that are not served are not seen here: what would take them along, or change them, is not done.
_CASCADES = """
select true from pg_constraint c
where c.contype = 'f' and c.confrelid = to_regclass($1) and c.conparentid = 0 and c.confdeltype in ('c', 'n', 'd')
  and not c.conrelid = any ($2::text[]::regclass[]) limit 1
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which changes: a single one by its number, or those of a request or of a transaction."""

    condition: str
    value: str

    @classmethod
    def change(cls, number: str) -> "Selection":
        return cls(_OF_CHANGE, number)

    @classmethod
    def request(cls, request: str) -> "Selection":
        return cls(_OF_REQUEST, request)

    @classmethod
    def transaction(cls, number: str) -> "Selection":
        return cls(_OF_TRANSACTION, number)


class Undo:
    """Takes changes back within a transaction."""

    def __init__(
        self,
        transaction: Transaction,
        reader: Reader,
        writer: Writer,
        policy: Policy,
        log: ChangeLog,
        history: History,
        most_changes: int,
    ) -> None:
        self._log = log
        self._history = history
        self._transaction = transaction
        self._reader = reader
        self._writer = writer
        self._policy = policy
        self._most_changes = most_changes

    async def run(self, selection: Selection, principal: Principal, written: Written) -> list[dict[str, object]]:
        """Take them back, all or none: what was done, a change at a time.

        Raises:
            RowNotFound: there are no such changes, or none that the caller may know of.
            Conflict: something stands in the way; `fields` say what.
            Forbidden: the caller may not write so.
            LimitExceeded: there are too many.
        """
        found = self._found(await self._changes(selection), principal)
        await self._require_visible(found, principal)
        done: list[dict[str, object]] = []
        reasons: list[FieldError] = []
        for step in steps(found, written, self._writer.referrers):
            try:
                reason = await self._take(step, principal)
            except RowhouseError as error:
                # After an error of PostgreSQL nothing more can be asked in this transaction.
                error.fields = (*reasons, FieldError(place_of(step.changes[0], step.resource), error.message))
                raise
            if reason is not None:
                reasons.append(reason)
                if len(reasons) == _MOST_REASONS:
                    break
            done += [
                {"change": one.number, "table": step.resource.name, "key": key_of(one, step.resource), "did": step.does}
                for one in step.changes
            ]
        if reasons:
            raise Conflict("Not everything can be taken back, so nothing was.", fields=reasons, code="undo_conflict")
        return done

    async def _changes(self, selection: Selection) -> list[Change]:
        sql = _CHANGES.format(which=selection.condition, most=self._most_changes + 1)
        row = await self._transaction.read(sql, [selection.value])
        assert row is not None
        changes = [_change(entry) for entry in orjson.loads(row[0])]
        if len(changes) > self._most_changes:
            raise LimitExceeded(f"These are more than {self._most_changes} changes, the most that are undone at once.")
        return changes

    def _found(self, changes: list[Change], principal: Principal) -> list[Found]:
        """The changes with their tables.

        Raises:
            RowNotFound: there are none, or some of tables that the caller may not know of.
        """
        known = self._policy.visible(principal)
        found = [(one, known.find(one.table, one.schema)) for one in changes if one.table is not None]
        both = [(change, resource) for change, resource in found if resource is not None]
        if not both or len(both) < len(changes):
            raise _no_such_changes()
        return both

    async def _require_visible(self, found: list[Found], principal: Principal) -> None:
        """Only who may read a change may take it back: else what stands in the way would tell of it.

        Raises:
            AuthenticationFailed, Forbidden: the caller may not read one of the tables.
            RowNotFound: some of the changes are of rows that the caller may not see.
            Conflict: a table is not tracked any more; or a row was logged without some of its columns, or by other
                names of them, and cannot be brought back whole.
        """
        for resource in dict.fromkeys(resource for _, resource in found):
            changes = [change for change, of in found if of is resource]
            logged = await self._log.tracked(resource)
            for change in changes:
                _require_whole(change, resource, logged)
            if any(change.operation == "i" for change in changes):
                await self._require_no_cascade(resource)
            if self._policy.rows(principal, resource, Action.READ) is None and not resource.hides_columns:
                continue
            numbers = [str(change.number) for change in changes]
            feed = make_feed([ReadPlan(resource, logged.shown(ReadPlan(resource)))], [logged], self._policy, principal)
            latest, limit = Bind(str(2**63 - 1)), Bind(str(len(numbers)))
            plan = HistoryPlan(feed.tables, latest, limit, numbers=Bind(numbers, BindKind.LIST))
            if len(await self._history.visible(plan)) < len(numbers):
                raise _no_such_changes()

    async def _require_no_cascade(self, resource: Resource) -> None:
        """Rows of tables that are not served cannot be asked for: so what would take them along is not done.

        Raises:
            Conflict: a foreign key of such a table would delete or change its rows.
        """
        tables = [_qualified(resource), *(_qualified(one.resource) for one in self._writer.referrers(resource))]
        row = await self._transaction.read(_CASCADES, [tables[0], tables])
        if row is not None:
            message = f"Rows of a table that is not served may refer to rows of {resource.name!r}, and go with them."
            raise Conflict(message, code="undo_conflict")

    async def _take(self, step: Step, principal: Principal) -> FieldError | None:
        """Do it. Returns what stands in the way."""
        outcome = await self._writer.run(step.plan, principal)
        if outcome.rows == len(step.changes):
            return await self._mark(step)
        if step.does == "insert":
            return FieldError(place_of(step.changes[0], step.resource), "a trigger keeps it, or one of the others, out")
        return await self._reason(step, principal)

    async def _mark(self, step: Step) -> FieldError | None:
        """Note that these are taken back: where rows are alike, nothing else would tell. Returns which was before."""
        row = await self._transaction.read(_MARK, [[str(change.number) for change in step.changes]])
        if row is None:
            return None
        change = next(one for one in step.changes if one.number == row[0])
        return FieldError(place_of(change, step.resource), f"taken back already, by change {row[1]}")

    async def _reason(self, step: Step, principal: Principal) -> FieldError:
        change = step.changes[0]
        place = place_of(change, step.resource)
        # Who changed what is hidden is not told either.
        later = None if step.resource.hides_columns else await self._transaction.read(_LATER, [str(change.number)])
        by = f" by {later[1]} (change {later[0]})" if later is not None else ""
        if not step.resource.key or change.now is None:
            return FieldError(place, f"the row is not there any more, or has changed{by}")
        key = Holds(step.resource.key, Bind(change.now, BindKind.JSON))
        try:
            item = await self._reader.item(ReadPlan(step.resource, where=key), principal)
        except RowNotFound:
            return FieldError(place, f"the row is not there any more{by}")
        left, stands = orjson.loads(change.now), orjson.loads(item.body)
        names = change.columns or tuple(left)
        other = [name for name in names if name in stands and stands[name] != left[name]]
        if not other and step.resource.hides_columns:
            return FieldError(place, "the row has changed, or is not one that you may change")
        if not other:
            return FieldError(place, "the row is not one that you may change")
        return FieldError(place, f"{', '.join(other)} changed since{by}")


def _require_whole(change: Change, resource: Resource, logged: Logged) -> None:
    image = set(orjson.loads(change.was or change.now or "{}")) - {_NULLS_OF_JSON}
    if change.operation in "dt" and logged.excluded:
        names = ", ".join(sorted(logged.excluded.intersection(resource.columns)))
        which = f"Columns that never enter the log ({names})" if names else "Columns that never enter the log"
        raise Conflict(f"{which} cannot be brought back.", code="undo_conflict")
    if image - set(resource.stored) and set(resource.stored) - image - logged.excluded:
        raise Conflict(f"Columns of {resource.name!r} had other names then.", code="undo_conflict")


def _no_such_changes() -> RowNotFound:
    return RowNotFound("There are no such changes.", hint="The history of a table has their numbers.")


def _change(entry: list[Any]) -> Change:
    number, schema, table, operation, key, was, now, columns = entry
    return Change(number, schema, table, operation, key, was, now, tuple(columns))


def _qualified(resource: Resource) -> str:
    return qualified(resource.table.schema, resource.table.name)
