"""Taking changes back: as ordinary writes, which policy restricts and the log keeps, in the opposite order.

A change is taken back only where nothing stands in its way: an update where the columns that it changed are still as it
left them (so that others' changes of other columns stay), an insert where the row is as it was inserted, a delete where
no row has its key.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import orjson

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.catalog.resource import Relation, Resource
from service.core.errors import Conflict, FieldError, LimitExceeded, RowhouseError, RowNotFound
from service.core.types import Action
from service.crud.read import Reader
from service.crud.write import Writer
from service.db.transaction import Transaction
from service.events.follow_request import make_feed
from service.events.history import History
from service.events.log import ChangeLog
from service.events.logged import Logged
from service.query.plan import (
    AnyOne,
    Bind,
    BindKind,
    DeletePlan,
    HistoryPlan,
    Holds,
    InsertPlan,
    Predicate,
    ReadPlan,
    Referrer,
    UpdatePlan,
    WritePlan,
    Written,
)

_MOST_REASONS = 20
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


@dataclass(frozen=True, slots=True)
class Change:
    """One change as the log has it. `was` and `now` are JSON; `columns` are those that an update changed."""

    number: int
    schema: str | None
    table: str | None
    operation: str
    key: str | None
    was: str | None
    now: str | None
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What takes changes back: one write, and what it is called."""

    changes: tuple[Change, ...]
    resource: Resource
    plan: WritePlan
    does: str


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
        for step in self._steps(found, written):
            try:
                reason = await self._take(step, principal)
            except RowhouseError as error:
                # After an error of PostgreSQL nothing more can be asked in this transaction.
                error.fields = (*reasons, FieldError(_place(step.changes[0], step.resource), error.message))
                raise
            if reason is not None:
                reasons.append(reason)
                if len(reasons) == _MOST_REASONS:
                    break
            done += [
                {"change": one.number, "table": step.resource.name, "key": _key(one, step.resource), "did": step.does}
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

    def _found(self, changes: list[Change], principal: Principal) -> list[tuple[Change, Resource]]:
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

    async def _require_visible(self, found: list[tuple[Change, Resource]], principal: Principal) -> None:
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
            if self._policy.rows(principal, resource, Action.READ) is None:
                continue
            numbers = [str(change.number) for change in changes]
            feed = make_feed([ReadPlan(resource, logged.shown(ReadPlan(resource)))], [logged], self._policy, principal)
            latest, limit = Bind(str(2**63 - 1)), Bind(str(len(numbers)))
            plan = HistoryPlan(feed.tables, latest, limit, numbers=Bind(numbers, BindKind.LIST))
            if len(await self._history.visible(plan)) < len(numbers):
                raise _no_such_changes()

    def _steps(self, found: list[tuple[Change, Resource]], written: Written) -> Iterator[Step]:
        """One write for each change, the last first. Rows that went one after the other come back together, those of a
        table in one statement, and first those that others refer to: so foreign keys hold.
        """
        for is_back, group in groupby(found, lambda item: item[0].operation in "dt"):
            together = list(group)
            if not is_back:
                for change, resource in together:
                    step = _step(change, resource, written, self._writer.referrers(resource))
                    if step is not None:
                        yield step
                continue
            for resource in _referred_first([resource for _, resource in together]):
                changes = tuple(change for change, of in together if of is resource)
                yield Step(changes, resource, _insert(changes, resource, _own(written)), "insert")

    async def _take(self, step: Step, principal: Principal) -> FieldError | None:
        """Do it. Returns what stands in the way."""
        outcome = await self._writer.run(step.plan, principal)
        if outcome.rows == len(step.changes):
            return None
        if step.does == "insert":
            return FieldError(_place(step.changes[0], step.resource), "a trigger keeps it, or one of the others, out")
        return await self._reason(step, principal)

    async def _reason(self, step: Step, principal: Principal) -> FieldError:
        change = step.changes[0]
        place = _place(change, step.resource)
        later = await self._transaction.read(_LATER, [str(change.number)])
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
        if not other:
            return FieldError(place, "the row is not one that you may change")
        return FieldError(place, f"{', '.join(other)} changed since{by}")


def _change(entry: list[Any]) -> Change:
    number, schema, table, operation, key, was, now, columns = entry
    return Change(number, schema, table, operation, key, was, now, tuple(columns))


def _own(written: Written) -> Written:
    """A bind stands in one place of one plan: each has its own."""
    return replace(written, actor=replace(written.actor), request=replace(written.request))


def _step(change: Change, resource: Resource, written: Written, referrers: Iterable[Referrer]) -> Step | None:
    """The write; None where only columns have changed that PostgreSQL computes."""
    now = _image(change.now)
    columns = tuple(name for name in orjson.loads(now) if name in resource.columns)
    if change.operation == "i":
        where = _as_it_is(resource, columns, now)
        # Rows that others have made refer to it since would go with it.
        plan = DeletePlan(resource, where, _own(written), with_deleted=True, unreferenced_by=tuple(referrers))
        return Step((change,), resource, plan, "delete")
    changed = tuple(name for name in change.columns if name in resource.columns)
    if resource.key:  # others may have changed other columns since
        columns = tuple(dict.fromkeys((*resource.key, *changed)))
    written_back = tuple(name for name in changed if resource.columns[name].is_writable)
    if not written_back:
        return None
    body = _json(f"[{_image(change.was)}]")
    where = _as_it_is(resource, columns, now)
    return Step(
        (change,), resource, UpdatePlan(resource, written_back, body, where, _own(written), with_deleted=True), "update"
    )


def _referred_first(resources: Iterable[Resource]) -> list[Resource]:
    """Each table once, those first that others among them refer to, as far as they do not do so in a circle."""
    waiting = list(dict.fromkeys(resources))
    ordered: list[Resource] = []
    while waiting:
        names = {one.name for one in waiting}
        free = [one for one in waiting if not names & {way.target for way in _references(one)} - {one.name}]
        ordered += free or waiting[:1]
        waiting = [one for one in waiting if one not in ordered]
    return ordered


def _references(resource: Resource) -> Iterator[Relation]:
    return (way for way in resource.relations if way.constraint and not way.is_back)


def _require_whole(change: Change, resource: Resource, logged: Logged) -> None:
    image = set(orjson.loads(change.was or change.now or "{}"))
    if change.operation in "dt" and logged.excluded:
        names = ", ".join(sorted(logged.excluded))
        raise Conflict(f"Columns that never enter the log ({names}) cannot be brought back.", code="undo_conflict")
    if image - set(resource.columns) and set(resource.columns) - image - logged.excluded:
        raise Conflict(f"Columns of {resource.name!r} had other names then.", code="undo_conflict")


def _no_such_changes() -> RowNotFound:
    return RowNotFound("There are no such changes.", hint="The history of a table has their numbers.")


def _insert(changes: tuple[Change, ...], resource: Resource, written: Written) -> InsertPlan:
    images = [_image(one.was) for one in changes]
    names = orjson.loads(images[0])
    columns = tuple(
        name
        for name, column in resource.columns.items()
        if name in names and (column.is_writable or column.is_always_numbered)
    )
    return InsertPlan(resource, columns, _json(f"[{','.join(images)}]"), written, restores=True)


def _image(image: str | None) -> str:
    if image is None:
        raise Conflict("Rows went by a TRUNCATE that could not be logged.", code="undo_conflict")
    return image


def _json(text: str) -> Bind:
    return Bind(text, BindKind.JSON)


def _as_it_is(resource: Resource, columns: tuple[str, ...], image: str) -> Predicate:
    """The row that has these values."""
    holds = Holds(columns, _json(image))
    return holds if resource.key else AnyOne(holds)


def _key(change: Change, resource: Resource) -> dict[str, object] | None:
    image = change.now or change.was
    row = orjson.loads(image) if image else {}
    return {name: row.get(name) for name in resource.key} or None


def _place(change: Change, resource: Resource) -> str:
    values = (_key(change, resource) or {}).values()
    return f"change {change.number} of {resource.name}/{','.join(map(str, values))}"
