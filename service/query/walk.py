"""Walks over plans: their bound values, the names in their answers, and what may be asked of hidden rows."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from service.catalog.resource import Resource
from service.query.plan import (
    COMPARES_VALUES,
    AfterKey,
    Aggregated,
    AllColumns,
    And,
    AnyOne,
    Bind,
    CallPlan,
    ColumnRef,
    Comparison,
    DeletePlan,
    Embedded,
    FeedPlan,
    FollowedTable,
    GroupColumn,
    Guarded,
    HasEmbedded,
    HasVersion,
    HistoryPlan,
    Holds,
    InsertPlan,
    Not,
    Operator,
    Or,
    OrderTerm,
    Past,
    Plan,
    Predicate,
    ReadPlan,
    Selected,
    SelectItem,
    Since,
    Step,
    UpdatePlan,
    VerifyPlan,
    Written,
    all_of,
)

# They compare, whatever the row holds. Others (patterns, paths, functions) may fail on what a row holds.
_CANNOT_FAIL = COMPARES_VALUES | {Operator.IS}


def output_names(plan: ReadPlan) -> list[str]:
    """The names of the members of a row in the answer, in their order."""
    names: list[str] = []
    for item in plan.select:
        match item:
            case AllColumns():
                names += plan.resource.columns
            case Selected():
                names.append(item.alias)
            case Embedded(is_spread=True):
                names += output_names(item.plan)
            case Embedded() if item.plan.select:
                names.append(item.alias)
    return names


def group_names(resource: Resource, select: tuple[SelectItem, ...]) -> list[str]:
    """The members of a row in the answer that are no aggregates: rows are grouped by them."""
    names: list[str] = []
    for item in select:
        match item:
            case AllColumns():
                names += resource.columns
            case Selected(column=ColumnRef()):
                names.append(item.alias)
            case Embedded(is_spread=True) if item.relation.is_many:
                names += output_names(item.plan)
            case Embedded(is_spread=True):
                names += group_names(item.plan.resource, item.plan.select)
            case Embedded() if item.plan.select:
                names.append(item.alias)
    return names


def guarded(asked: Predicate | None, rows: Predicate | None) -> Predicate | None:
    """What a caller asked for, of the rows that it may see.

    PostgreSQL evaluates conditions in any order (manual, chapter 4.2.14), so what may fail on a row is held back until
    the row is known to be among them.
    """
    if asked is None or rows is None:
        return all_of(asked, rows)
    terms = asked.terms if isinstance(asked, And) else (asked,)
    safe = [term for term in terms if _cannot_fail(term)]
    others = all_of(*(term for term in terms if not _cannot_fail(term)))
    held = None if others is None else Guarded(_renewed(rows), others)
    return all_of(rows, *safe, held)


def _cannot_fail(predicate: Predicate) -> bool:
    match predicate:
        case Comparison(column=ColumnRef(path=(), cast=None), quantifier=None):
            return predicate.operator in _CANNOT_FAIL
        case Not(term=term):
            return _cannot_fail(term)
        case And(terms=terms) | Or(terms=terms):
            return all(map(_cannot_fail, terms))
        case HasVersion() | HasEmbedded() | Holds() | AnyOne():
            return True
    return False


def fresh(predicate: Predicate | None) -> Predicate | None:
    """The same predicate with binds of its own, so that it may stand in a plan more than once."""
    match predicate:
        case Comparison():
            return replace(
                predicate,
                column=_fresh_column(predicate.column),
                operand=_fresh_bind(predicate.operand),
                configuration=_fresh_bind(predicate.configuration),
            )
        case Not(term=term):
            return Not(_renewed(term))
        case And(terms=terms):
            return And(tuple(map(_renewed, terms)))
        case Or(terms=terms):
            return Or(tuple(map(_renewed, terms)))
        case HasVersion(versions=versions):
            return HasVersion(replace(versions))
        case Holds():
            return replace(predicate, image=replace(predicate.image))
        case AnyOne(term=term):
            return AnyOne(_renewed(term))
        case Guarded(by=by, term=term):
            return Guarded(_renewed(by), _renewed(term))
        case _:
            return predicate


def _fresh_bind(bind: Bind | None) -> Bind | None:
    return None if bind is None else replace(bind)


def _fresh_column(column: ColumnRef | Aggregated) -> ColumnRef | Aggregated:
    if isinstance(column, Aggregated):
        return column
    steps = (
        Step(step.place if isinstance(step.place, int) else replace(step.place), step.is_text) for step in column.path
    )
    return replace(column, path=tuple(steps))


def _renewed(predicate: Predicate) -> Predicate:
    renewed = fresh(predicate)
    assert renewed is not None
    return renewed


def runs_code(plan: Plan) -> bool:
    """Whether functions run in the database that may set something on the connection."""
    match plan:
        case CallPlan():
            return True
        case FeedPlan() | HistoryPlan() | VerifyPlan():
            return False  # it has no computed columns
        case ReadPlan():
            is_own = plan.resource.abilities.runs_code or bool(plan.resource.computed)
            by_function = any(item.relation.function is not None for item in plan.embeds)
            return is_own or by_function or any(runs_code(item.plan) for item in plan.embeds)
    answer = plan.written.answer
    return plan.resource.abilities.runs_code or (answer is not None and runs_code(answer))


def column_names(node: object) -> set[str]:
    """The columns that a part of a plan refers to."""
    if isinstance(node, ColumnRef):
        return {node.name}
    parts = _PARTS[type(node)](node) if type(node) in _PARTS else ()
    return {name for part in parts for name in column_names(part)}


def binds(plan: Plan) -> list[Bind]:
    """Every bound value of a plan, in an order that depends on its shape alone."""
    found: list[Bind] = []
    _collect(plan, found)
    return found


def _collect(node: object, found: list[Bind]) -> None:
    if type(node) is Bind:
        found.append(node)
    elif node is not None:
        for part in _PARTS[type(node)](node):
            _collect(part, found)


def _nothing(_: object) -> tuple[object, ...]:
    return ()


# The parts of each kind of node that may hold binds, in a fixed order.
_PARTS: Mapping[type, Callable[[Any], tuple[object, ...]]] = {
    AllColumns: _nothing,
    HasEmbedded: _nothing,
    GroupColumn: _nothing,
    Selected: lambda node: (node.column,),
    OrderTerm: lambda node: (node.column,),
    ColumnRef: lambda node: node.path,
    Step: lambda node: (node.place,) if type(node.place) is Bind else (),
    Aggregated: lambda node: (node.column,),
    Comparison: lambda node: (node.column, node.operand, node.configuration),
    Not: lambda node: (node.term,),
    And: lambda node: node.terms,
    Or: lambda node: node.terms,
    AfterKey: lambda node: node.values,
    HasVersion: lambda node: (node.versions,),
    Embedded: lambda node: (node.plan, node.at_most, node.between),
    Guarded: lambda node: (node.by, node.term),
    CallPlan: lambda node: (*(bind for _, bind in node.arguments), node.body, node.answer, node.limit, node.offset),
    ReadPlan: lambda node: (
        *node.select,
        node.where,
        node.having,
        *node.order,
        node.after,
        node.limit,
        node.offset,
        node.past,
    ),
    Holds: lambda node: (node.image,),
    AnyOne: lambda node: (node.term,),
    HistoryPlan: lambda node: (
        *node.tables,
        node.before,
        node.limit,
        *node.key,
        node.actor,
        node.request,
        node.transaction,
        node.since,
        node.until,
        node.operations,
        node.numbers,
        node.down_to,
    ),
    VerifyPlan: lambda node: (node.tracked, node.since, node.limit),
    Past: lambda node: (node.tracked, node.since, node.time, *node.key),
    Since: lambda node: (node.seen, node.until, node.seq),
    Written: lambda node: (node.actor, node.request, node.check, node.max_affected, node.answer),
    InsertPlan: lambda node: (node.body, node.written, node.replaceable),
    UpdatePlan: lambda node: (node.body, node.where, node.written),
    DeletePlan: lambda node: (node.where, node.written),
    FollowedTable: lambda node: (
        node.read,
        node.tracked,
        node.read_since,
        node.where,
        node.was_where,
        node.visible,
        node.was_visible,
    ),
    FeedPlan: lambda node: (*node.tables, node.seen, node.until, node.after, node.last, node.limit),
}
