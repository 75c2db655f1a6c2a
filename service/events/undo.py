"""Taking changes back: as ordinary writes, which policy restricts and the log keeps, in the opposite order.

A change is taken back only where nothing stands in its way: an update where the columns that it changed are still as it
left them (so that others' changes of other columns stay), an insert where the row is as it was inserted, a delete where
no row has its key.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import orjson

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.catalog.resource import Resource
from service.core.errors import Conflict, FieldError, LimitExceeded, RowhouseError, RowNotFound
from service.crud.read import Reader
from service.crud.write import Writer
from service.db.transaction import Transaction
from service.query.plan import (
    AnyOne,
    Bind,
    BindKind,
    DeletePlan,
    Holds,
    InsertPlan,
    Predicate,
    ReadPlan,
    UpdatePlan,
    WritePlan,
    Written,
)

_MOST_REASONS = 20
_AT_ONCE = 500
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
        self, transaction: Transaction, reader: Reader, writer: Writer, policy: Policy, most_changes: int
    ) -> None:
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
        done: list[dict[str, object]] = []
        reasons: list[FieldError] = []
        for step in self._steps(await self._changes(selection), principal, written):
            reason = await self._take(step, principal)
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

    def _steps(self, changes: list[Change], principal: Principal, written: Written) -> Iterator[Step]:
        """One write for each change, the last first; rows that went one after the other come back together."""
        known = self._policy.visible(principal)
        found = [known.find(one.table, one.schema) if one.table else None for one in changes]
        if not any(found):
            raise RowNotFound("There are no such changes.", hint="The history of a table has their numbers.")
        if not all(found):
            raise Conflict("Some of these changes are of tables that you may not change.", code="undo_conflict")
        resources = [one for one in found if one is not None]
        numbered = list(enumerate(zip(changes, resources, strict=True)))
        for (resource, is_back), group in groupby(numbered, lambda item: (item[1][1], item[1][0].operation in "dt")):
            together = [change for _, (change, _) in group]
            size = _AT_ONCE if is_back else 1
            for start in range(0, len(together), size):
                step = _step(tuple(together[start : start + size]), resource, written)
                if step is not None:
                    yield step

    async def _take(self, step: Step, principal: Principal) -> FieldError | None:
        """Do it. Returns what stands in the way."""
        try:
            outcome = await self._writer.run(step.plan, principal)
        except RowhouseError as error:
            # After an error of PostgreSQL nothing more can be asked in this transaction.
            error.fields = (FieldError(_place(step.changes[0], step.resource), error.message), *error.fields)
            raise
        return None if outcome.rows else await self._reason(step, principal)

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


def _step(changes: tuple[Change, ...], resource: Resource, written: Written) -> Step | None:
    """The write; None where only columns have changed that PostgreSQL computes."""
    # A bind stands in one place of one plan: each has its own.
    once = replace(written, actor=replace(written.actor), request=replace(written.request))
    change = changes[0]
    if change.operation in "dt":
        return Step(changes, resource, _insert(changes, resource, once), "insert")
    now = _image(change.now)
    columns = tuple(name for name in orjson.loads(now) if name in resource.columns)
    if change.operation == "i":
        return Step(changes, resource, DeletePlan(resource, _as_it_is(resource, columns, now), once), "delete")
    changed = tuple(name for name in change.columns if name in resource.columns)
    if resource.key:  # others may have changed other columns since
        columns = tuple(dict.fromkeys((*resource.key, *changed)))
    written_back = tuple(name for name in changed if resource.columns[name].is_writable)
    if not written_back:
        return None
    body = _json(f"[{_image(change.was)}]")
    return Step(
        changes, resource, UpdatePlan(resource, written_back, body, _as_it_is(resource, columns, now), once), "update"
    )


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
