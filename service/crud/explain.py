"""Names the fields at fault where PostgreSQL refused what the caller sent."""

from collections.abc import Iterator

import orjson

from service.catalog.resource import Resource
from service.core.errors import Conflict, FieldError, InvalidBody, InvalidQuery, RowhouseError
from service.core.states import FOREIGN_KEY, NOT_NULL
from service.core.types import Action
from service.query.plan import (
    COMPARES_VALUES,
    And,
    Bind,
    CallPlan,
    ColumnRef,
    Comparison,
    DeletePlan,
    Embedded,
    InsertPlan,
    Not,
    Or,
    ReadPlan,
    UpdatePlan,
    WritePlan,
)
from service.schemas.fields import explain_rows, explain_values

_Asked = ReadPlan | WritePlan | CallPlan


def explain(
    error: RowhouseError, plan: ReadPlan | WritePlan | CallPlan, ran: ReadPlan | WritePlan | CallPlan
) -> RowhouseError:
    """The same error with the fields that it is about, or the error itself where there is nothing to add.

    `ran` is the plan with the policy's conditions, whose values are not the caller's to see.
    """
    if isinstance(plan, CallPlan):
        return error
    tell_of_columns(error, plan.resource)
    is_of_null = error.stable_code == NOT_NULL and plan.resource.hides_columns  # it may be of a hidden column
    if error.constraint is None and type(error) is InvalidBody and not error.fields and not is_of_null:
        explained = _explain_values(error, plan)
        is_of_hidden = plan.resource.hides_columns and not isinstance(plan, ReadPlan)
        if is_of_hidden or (not explained.fields and ran is not plan):
            explained.message, explained.details = "A value cannot be read as its column's type.", None
        return explained
    return error


def tell_of_columns(error: RowhouseError, resource: Resource) -> None:
    """Say of an error which columns the constraint is about that was violated, and nothing of what is hidden: tables,
    columns, and what these hold.
    """
    if not isinstance(error, (Conflict, InvalidBody)):
        return
    if error.constraint is not None:
        error.fields = tuple(_constrained(resource, error.constraint))
        is_known = any(way.constraint == error.constraint for way in resource.relations)
        if error.stable_code == FOREIGN_KEY and not is_known:
            error.details = None  # it names a table that the caller may not know of
        if resource.hides_columns and not (is_known or error.constraint in resource.unique):
            error.details = None
            if isinstance(error, InvalidBody):
                error.message = "The row violates a check of the table."
    elif resource.hides_columns and error.stable_code == NOT_NULL:
        known = resource.in_bodies(Action.CREATE, Action.UPDATE)
        if any(one.field not in known for one in error.fields):
            error.fields, error.message = (), "A column that your role may not set must have a value."


def refuse_unfit(plan: UpdatePlan) -> None:
    """Where no row was there to change, PostgreSQL has not looked at the values.

    Raises:
        InvalidBody: they would not have fitted.
    """
    if not isinstance(plan.body.value, bytes):  # it is from the change log, where it has fitted
        return
    if unfit := explain_rows(plan.resource, orjson.loads(plan.body.value)):
        raise InvalidBody("The body has values that do not fit their columns.", fields=unfit, code="22P02")


def _explain_values(error: InvalidBody, plan: ReadPlan | WritePlan) -> RowhouseError:
    body = plan.body if isinstance(plan, (InsertPlan, UpdatePlan)) else None
    if isinstance(plan, (InsertPlan, UpdatePlan)) and isinstance(body, Bind) and isinstance(body.value, bytes):
        error.fields = tuple(explain_rows(plan.resource, orjson.loads(body.value)))
        if error.fields:
            return error
    filters = [item for resource, pairs in _compared(plan) for item in explain_values(resource, pairs)]
    if filters or isinstance(plan, ReadPlan):
        return InvalidQuery(error.message, details=error.details, fields=filters, code=error.stable_code)
    return error


def _constrained(resource: Resource, name: str) -> Iterator[FieldError]:
    for column in resource.unique.get(name, ()):
        yield FieldError(column, "stands in the way")
    for way in resource.relations:
        if way.constraint == name and not way.is_back:
            for here, _ in way.pairs:
                yield FieldError(here, "stands in the way")


def _compared(plan: object) -> Iterator[tuple[Resource, list[tuple[str, str]]]]:
    """The columns and values that a plan compares, table by table."""
    match plan:
        case ReadPlan():
            yield plan.resource, list(_values(plan.where))
            for item in plan.embeds:
                yield from _compared(item)
        case Embedded(plan=embedded):
            yield from _compared(embedded)
        case UpdatePlan() | DeletePlan():
            yield plan.resource, list(_values(plan.where))


def _values(predicate: object) -> Iterator[tuple[str, str]]:
    match predicate:
        case Comparison(column=ColumnRef(name=name, path=()), operand=Bind(value=value), quantifier=None) if (
            predicate.operator in COMPARES_VALUES
        ):
            for one in value if isinstance(value, list) else [value]:
                yield name, str(one)
        case Not(term=term):
            yield from _values(term)
        case And(terms=terms) | Or(terms=terms):
            for term in terms:
                yield from _values(term)
