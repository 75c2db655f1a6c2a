"""Soft delete: rows whose `deleted_at` is set are hidden, unless a filter asks for that column; deleting sets it, and
deleting what is hidden already removes it.
"""

from collections.abc import Iterable
from dataclasses import replace

from service.catalog.resource import DELETED_AT, Resource
from service.query.plan import (
    Bind,
    BindKind,
    ColumnRef,
    Comparison,
    DeletePlan,
    InsertPlan,
    IsValue,
    Operator,
    Predicate,
    ReadPlan,
    Reference,
    UpdatePlan,
    Written,
    all_of,
)
from service.query.walk import column_names


def live(where: Predicate | None, resource: Resource) -> Predicate | None:
    """The condition, of rows that are not deleted, unless it asks for those that are."""
    if not resource.hides_deleted or asks_for_deleted(where):
        return where
    return all_of(where, _is(IsValue.NULL))


def without_deleted(plan: ReadPlan) -> ReadPlan:
    """What is read of one table, without what is deleted."""
    return replace(plan, where=live(plan.where, plan.resource)) if plan.resource.hides_deleted else plan


def asks_for_deleted(where: Predicate | None) -> bool:
    """Whether a filter, as the caller wrote it, is about what is deleted."""
    return DELETED_AT in column_names(where)


def live_update(plan: UpdatePlan, referrers: Iterable[Reference]) -> UpdatePlan:
    """Changes what is not deleted. Whoever sets `deleted_at` means any row, and may hide none that others refer to."""
    if not plan.resource.hides_deleted:
        return plan
    if DELETED_AT in (*plan.columns, *plan.defaults):
        return replace(plan, unreferenced_by=tuple(referrers))
    return plan if plan.with_deleted else replace(plan, where=all_of(plan.where, _is(IsValue.NULL)))


def live_references(written: Written, references: Iterable[Reference], columns: Iterable[str]) -> Written:
    """A write of these columns refers to nothing that is hidden."""
    names = frozenset(columns)
    hiding = tuple(
        one
        for one in references
        if one.resource.hides_deleted and (DELETED_AT in names or names.intersection(here for _, here in one.pairs))
    )
    return replace(written, refers_to=hiding) if hiding else written


def live_upsert(plan: InsertPlan) -> InsertPlan:
    """Replaces only what is not deleted, unless it says what `deleted_at` is to be."""
    if not plan.resource.hides_deleted or DELETED_AT in plan.columns:
        return plan
    return replace(plan, replaceable=all_of(plan.replaceable, _is(IsValue.NULL)))


def hiding(plan: DeletePlan, referrers: Iterable[Reference]) -> UpdatePlan:
    """The update that hides the rows, where none of these refer to them."""
    body = Bind(f'[{{"{DELETED_AT}": "now"}}]', BindKind.JSON)
    where = all_of(plan.where, _is(IsValue.NULL))
    return UpdatePlan(plan.resource, (DELETED_AT,), body, where, plan.written, unreferenced_by=tuple(referrers))


def showing(resource: Resource, where: Predicate, written: Written) -> UpdatePlan:
    """The update that brings hidden rows back."""
    body = Bind(f'[{{"{DELETED_AT}": null}}]', BindKind.JSON)
    return UpdatePlan(resource, (DELETED_AT,), body, deleted_row(where), written)


def deleted_row(where: Predicate | None) -> Predicate | None:
    """The condition, of a row that is deleted."""
    return all_of(where, _is(IsValue.NOT_NULL))


def _is(value: IsValue) -> Predicate:
    return Comparison(ColumnRef(DELETED_AT), Operator.IS, constant=value)
