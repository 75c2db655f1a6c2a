"""The writes that take changes back. Pure: what stands in their way is for PostgreSQL to say."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import orjson

from service.catalog.resource import Relation, Resource
from service.core.errors import Conflict
from service.query.plan import (
    AnyOne,
    Bind,
    BindKind,
    DeletePlan,
    Holds,
    InsertPlan,
    Predicate,
    Reference,
    UpdatePlan,
    WritePlan,
    Written,
)

Found = tuple["Change", Resource]
Referrers = Callable[[Resource], Iterable[Reference]]


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


def steps(found: Iterable[Found], written: Written, referrers: Referrers) -> Iterator[Step]:
    """One write for each change, the last first.

    Rows that went one after the other come back together, those of a table and of the same columns in one statement,
    and first those that others refer to: so foreign keys hold.
    """
    for is_back, group in groupby(found, lambda item: item[0].operation in "dt"):
        together = list(group)
        if not is_back:
            for change, resource in together:
                step = _step(change, resource, written, referrers(resource))
                if step is not None:
                    yield step
            continue
        for resource in _referred_first(resource for _, resource in together):
            changes = (change for change, of in together if of is resource)
            for columns, alike in groupby(changes, partial(_columns, resource)):
                yield _insert(tuple(alike), columns, resource, _own(written))


def _own(written: Written) -> Written:
    """A bind stands in one place of one plan: each has its own."""
    return replace(written, actor=replace(written.actor), request=replace(written.request))


def _step(change: Change, resource: Resource, written: Written, referrers: Iterable[Reference]) -> Step | None:
    """The write; None where only columns have changed that PostgreSQL computes."""
    now = _image(change.now)
    columns = tuple(name for name in orjson.loads(now) if name in resource.stored)
    if change.operation == "i":
        where = _as_it_is(resource, columns, now)
        # Rows that others have made refer to it since would go with it.
        plan = DeletePlan(resource, where, _own(written), with_deleted=True, unreferenced_by=tuple(referrers))
        return Step((change,), resource, plan, "delete")
    changed = tuple(name for name in change.columns if name in resource.stored)
    if resource.key:  # others may have changed other columns since
        columns = tuple(dict.fromkeys((*resource.key, *changed)))
    written_back = tuple(name for name in changed if resource.stored[name].is_writable)
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


def _columns(resource: Resource, change: Change) -> tuple[str, ...]:
    """What is given to a row that comes back: what was logged of it, but for what PostgreSQL computes."""
    names = orjson.loads(_image(change.was))
    return tuple(
        name
        for name, column in resource.stored.items()
        if name in names and (column.is_writable or column.is_always_numbered)
    )


def _insert(changes: tuple[Change, ...], columns: tuple[str, ...], resource: Resource, written: Written) -> Step:
    body = _json(f"[{','.join(_image(one.was) for one in changes)}]")
    return Step(changes, resource, InsertPlan(resource, columns, body, written, restores=True), "insert")


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


def key_of(change: Change, resource: Resource) -> dict[str, object] | None:
    image = change.now or change.was
    row = orjson.loads(image) if image else {}
    return {name: row.get(name) for name in resource.key} or None


def place_of(change: Change, resource: Resource) -> str:
    values = (key_of(change, resource) or {}).values()
    return f"change {change.number} of {resource.name}/{','.join(map(str, values))}"
