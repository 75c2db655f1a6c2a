"""Plans: what is asked of the tables, as frozen values. Parsers make them, policy adds to them, compile reads them.

A plan is hashable by its *shape*: the values that a request binds do not take part in equality, so that every request
of the same shape shares one compiled statement. Resources compare by identity.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from service.catalog.resource import Relation, Resource


class BindKind(StrEnum):
    """How a value travels: a text, a list as one array of texts, or JSON as bytes."""

    TEXT = "text"
    LIST = "list"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Bind:
    """A value that is bound when the statement runs. Its text is PostgreSQL's to judge.

    A bind stands in one place of one plan. Its kind is part of the shape, its value is not.
    """

    value: object = field(compare=False)
    kind: BindKind = BindKind.TEXT


class Operator(StrEnum):
    """Operators of the query language that compare a column with a value."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    LIKE = "like"
    ILIKE = "ilike"
    MATCH = "match"
    IMATCH = "imatch"
    IN = "in"
    IS = "is"


class IsValue(StrEnum):
    """What `is` compares with."""

    NULL = "null"
    NOT_NULL = "not_null"
    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column of the plan's table, optionally cast."""

    name: str
    cast: str | None = None


# The row version, under the name that asks for it.
VERSION_COLUMN = "_etag"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`column operator value`. For `is` the value is part of the shape, and `operand` is None."""

    column: ColumnRef
    operator: Operator
    operand: Bind | None = None
    constant: IsValue | None = None


@dataclass(frozen=True, slots=True)
class Not:
    term: "Predicate"


@dataclass(frozen=True, slots=True)
class And:
    terms: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class Or:
    terms: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class HasVersion:
    """The row is in one of these versions."""

    versions: Bind


Predicate = Comparison | Not | And | Or | HasVersion


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """PostgreSQL's default stands where `nulls_first` is None: last when ascending, first when descending."""

    column: ColumnRef
    is_descending: bool = False
    nulls_first: bool | None = None

    @property
    def puts_nulls_first(self) -> bool:
        return self.is_descending if self.nulls_first is None else self.nulls_first


@dataclass(frozen=True, slots=True)
class AfterKey:
    """Begin after the row whose sort values these are; None where the value was NULL."""

    values: tuple[Bind | None, ...]


@dataclass(frozen=True, slots=True)
class AllColumns:
    """`*`"""


@dataclass(frozen=True, slots=True)
class Selected:
    """A column in the answer, under `alias`."""

    column: ColumnRef
    alias: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """Related rows in the answer, under `alias`. `is_inner` drops the rows that have none.

    More than `at_most` related rows of one row end the statement: they are never cut without a word.
    """

    relation: Relation
    alias: str
    plan: "ReadPlan"
    is_inner: bool = False
    at_most: Bind | None = None


SelectItem = AllColumns | Selected | Embedded


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """Rows of a table: which, what of them, in which order, how many.

    `after` is no part of `where`: a count is of all that `where` selects, on whichever page.
    """

    resource: Resource
    select: tuple[SelectItem, ...] = (AllColumns(),)
    where: Predicate | None = None
    order: tuple[OrderTerm, ...] = ()
    after: AfterKey | None = None
    limit: Bind | None = None
    offset: Bind | None = None
    wants_count: bool = False

    @property
    def embeds(self) -> tuple[Embedded, ...]:
        return tuple(item for item in self.select if isinstance(item, Embedded))

    @property
    def is_whole_row(self) -> bool:
        return self.select == (AllColumns(),)


@dataclass(frozen=True, slots=True)
class Written:
    """What a write does besides writing.

    `check` must hold for each row as written; `max_affected` ends the statement where more rows would change;
    `answer` is what is returned of the rows, or None for nothing but their number.
    """

    actor: Bind
    request: Bind
    check: Predicate | None = None
    max_affected: Bind | None = None
    answer: ReadPlan | None = None


class OnConflict(StrEnum):
    """What an insert does where the key is taken."""

    FAIL = "fail"
    REPLACE = "replace"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class InsertPlan:
    """Rows from a JSON array. Columns that are not named take their defaults.

    `replaceable` is what the row that is there must meet for REPLACE to touch it.
    """

    resource: Resource
    columns: tuple[str, ...]
    body: Bind
    written: Written
    on_conflict: OnConflict = OnConflict.FAIL
    replaceable: Predicate | None = None


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Set columns of the selected rows from a JSON object. `defaults` go back to their defaults."""

    resource: Resource
    columns: tuple[str, ...]
    body: Bind
    where: Predicate | None
    written: Written
    defaults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """Delete the selected rows."""

    resource: Resource
    where: Predicate | None
    written: Written


WritePlan = InsertPlan | UpdatePlan | DeletePlan
Plan = ReadPlan | WritePlan


def all_of(*predicates: Predicate | None) -> Predicate | None:
    """The conjunction of those that are there."""
    terms = tuple(term for term in predicates if term is not None)
    if len(terms) < 2:
        return terms[0] if terms else None
    return And(terms)


def fresh(predicate: Predicate | None) -> Predicate | None:
    """The same predicate with binds of its own, so that it may stand in a plan more than once."""
    match predicate:
        case Comparison(operand=Bind() as operand):
            return replace(predicate, operand=replace(operand))
        case Not(term=term):
            return Not(_renewed(term))
        case And(terms=terms):
            return And(tuple(map(_renewed, terms)))
        case Or(terms=terms):
            return Or(tuple(map(_renewed, terms)))
        case HasVersion(versions=versions):
            return HasVersion(replace(versions))
        case _:
            return predicate


def _renewed(predicate: Predicate) -> Predicate:
    renewed = fresh(predicate)
    assert renewed is not None
    return renewed


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
    Selected: _nothing,
    OrderTerm: _nothing,
    Comparison: lambda node: (node.operand,),
    Not: lambda node: (node.term,),
    And: lambda node: node.terms,
    Or: lambda node: node.terms,
    AfterKey: lambda node: node.values,
    HasVersion: lambda node: (node.versions,),
    Embedded: lambda node: (node.plan, node.at_most),
    ReadPlan: lambda node: (*node.select, node.where, node.after, node.limit, node.offset),
    Written: lambda node: (node.actor, node.request, node.check, node.max_affected, node.answer),
    InsertPlan: lambda node: (node.body, node.written, node.replaceable),
    UpdatePlan: lambda node: (node.body, node.where, node.written),
    DeletePlan: lambda node: (node.where, node.written),
}
