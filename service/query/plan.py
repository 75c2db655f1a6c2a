"""Plans: what is asked of the tables, as frozen values. Parsers make them, policy adds to them, compile reads them.

A plan is hashable by its *shape*: the values that a request binds do not take part in equality, so that every request
of the same shape shares one compiled statement. Resources compare by identity.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from service.catalog.function import Function
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
    IS_DISTINCT = "isdistinct"
    FTS = "fts"
    PLFTS = "plfts"
    PHFTS = "phfts"
    WFTS = "wfts"
    CONTAINS = "cs"
    CONTAINED = "cd"
    OVERLAPS = "ov"
    LEFT_OF = "sl"
    RIGHT_OF = "sr"
    NOT_RIGHT = "nxr"
    NOT_LEFT = "nxl"
    ADJACENT = "adj"


class IsValue(StrEnum):
    """What `is` compares with."""

    NULL = "null"
    NOT_NULL = "not_null"
    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Quantifier(StrEnum):
    """`eq(any).{1,2}`: whether one of the values is enough, or all must hold. The operand is an array's text."""

    ANY = "any"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Step:
    """One step into a column's value: a member by name (bound), or an element by position (part of the shape).

    `->` leads to a value, `->>` to its text.
    """

    place: Bind | int
    is_text: bool


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column of the plan's table, or a place inside its value, optionally cast.

    Steps lead into JSON, arrays and composites alike. A computed column is a column of the resource.
    """

    name: str
    cast: str | None = None
    path: tuple[Step, ...] = ()


class Aggregate(StrEnum):
    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Aggregated:
    """`amount.sum()::int`: over the rows of a group. `column` None is `count()` of rows; `cast` is of the result."""

    function: Aggregate
    column: ColumnRef | None = None
    cast: str | None = None


# The row version, under the name that asks for it.
VERSION_COLUMN = "_etag"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`column operator value`. For `is` the value is part of the shape, and `operand` is None.

    `configuration` is that of a full-text search, such as `english`. An aggregate stands in `having` alone.
    """

    column: ColumnRef | Aggregated
    operator: Operator
    operand: Bind | None = None
    constant: IsValue | None = None
    quantifier: Quantifier | None = None
    configuration: Bind | None = None


@dataclass(frozen=True, slots=True)
class HasEmbedded:
    """The row has related rows that meet the conditions of what the plan embeds under `alias`."""

    alias: str


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


@dataclass(frozen=True, slots=True)
class Guarded:
    """`term`, looked at only of rows that meet `by`: an error of it would tell of rows that the caller may not see."""

    by: "Predicate"
    term: "Predicate"


Predicate = Guarded | Comparison | Not | And | Or | HasVersion | HasEmbedded


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """PostgreSQL's default stands where `nulls_first` is None: last when ascending, first when descending.

    `embedded` is the alias of what is embedded to-one, where the column is one of that. An aggregate stands only in a
    plan that groups.
    """

    column: ColumnRef | Aggregated
    is_descending: bool = False
    nulls_first: bool | None = None
    embedded: str | None = None

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
    """A column or an aggregate in the answer, under `alias`. With an aggregate, rows are grouped by all else."""

    column: ColumnRef | Aggregated
    alias: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """Related rows in the answer, under `alias`. `is_inner` drops the rows that have none.

    `between` is what the rows of the junction, `through` which it is found, must meet. `is_spread` puts their columns
    among those of the row: as values where one row belongs, as arrays where many do.
    A plan that selects nothing is joined for its conditions alone, and is not shown. More than `at_most` related rows
    of one row end the statement: they are never cut without a word.
    """

    relation: Relation
    alias: str
    plan: "ReadPlan"
    is_inner: bool = False
    at_most: Bind | None = None
    is_spread: bool = False
    through: Resource | None = None
    between: "Predicate | None" = None


SelectItem = AllColumns | Selected | Embedded


class Count(StrEnum):
    """How the rows that a filter selects are counted: one by one, by the planner, or by either (whichever is cheap)."""

    EXACT = "exact"
    PLANNED = "planned"
    ESTIMATED = "estimated"


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
    count: Count | None = None
    having: Predicate | None = None

    @property
    def embeds(self) -> tuple[Embedded, ...]:
        return tuple(item for item in self.select if isinstance(item, Embedded))

    @property
    def is_whole_row(self) -> bool:
        return self.select == (AllColumns(),)

    @property
    def is_grouped(self) -> bool:
        """Whether its rows are groups: an aggregate is selected, here or in what is spread into the row."""
        return any(
            (isinstance(item, Selected) and isinstance(item.column, Aggregated))
            or (isinstance(item, Embedded) and item.is_spread and not item.relation.is_many and item.plan.is_grouped)
            for item in self.select
        )

    @property
    def has_keyset(self) -> bool:
        """Whether its order gives each row a place that its own columns tell, so that a cursor can continue it."""
        is_own = all(term.embedded is None and type(term.column) is ColumnRef for term in self.order)
        return bool(self.resource.key) and self.limit is not None and not self.is_grouped and is_own


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

    `conflict` are the columns whose uniqueness decides, by default the key. `replaceable` is what the row that is there
    must meet for REPLACE to touch it; with `resets_others` it takes the defaults of what is not named. With
    `fills_missing`, a column that one of the objects lacks takes its default there too, and not NULL.
    """

    resource: Resource
    columns: tuple[str, ...]
    body: Bind
    written: Written
    on_conflict: OnConflict = OnConflict.FAIL
    replaceable: Predicate | None = None
    conflict: tuple[str, ...] = ()
    resets_others: bool = False
    fills_missing: bool = False


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Set columns of the selected rows from a JSON object. `defaults` go back to their defaults.

    With `is_by_key` the body is an array, and each of its objects changes the row whose key it names.
    """

    resource: Resource
    columns: tuple[str, ...]
    body: Bind
    where: Predicate | None
    written: Written
    defaults: tuple[str, ...] = ()
    is_by_key: bool = False


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """Delete the selected rows."""

    resource: Resource
    where: Predicate | None
    written: Written


@dataclass(frozen=True, slots=True)
class CallPlan:
    """A call of a function. `arguments` are (name, text), a list for a variadic one; or else `body` is a JSON object of
    them (`given` are its names), or an array whose first element is one (`is_array`), or the one argument of a function
    that takes the whole body.

    `answer` reads what is returned, where that are rows: its resource is the function's result. `limit` and `offset`
    cut a set of values that are none.
    """

    function: Function
    arguments: tuple[tuple[str, Bind], ...] = ()
    body: Bind | None = None
    given: tuple[str, ...] = ()
    is_array: bool = False
    answer: ReadPlan | None = None
    limit: Bind | None = None
    offset: Bind | None = None


WritePlan = InsertPlan | UpdatePlan | DeletePlan
Plan = ReadPlan | WritePlan | CallPlan


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


def all_of(*predicates: Predicate | None) -> Predicate | None:
    """The conjunction of those that are there."""
    terms = tuple(term for term in predicates if term is not None)
    if len(terms) < 2:
        return terms[0] if terms else None
    return And(terms)


# Their operand is a value of the column's type, or a list of such.
COMPARES_VALUES = frozenset(
    {
        Operator.EQ,
        Operator.NEQ,
        Operator.GT,
        Operator.GTE,
        Operator.LT,
        Operator.LTE,
        Operator.IN,
        Operator.IS_DISTINCT,
    }
)
# They compare, whatever the row holds. Others (patterns, paths, functions) may fail on what a row holds.
_CANNOT_FAIL = COMPARES_VALUES | {Operator.IS}


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
        case HasVersion() | HasEmbedded():
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
        case ReadPlan():
            is_own = plan.resource.abilities.runs_code or bool(plan.resource.computed)
            by_function = any(item.relation.function is not None for item in plan.embeds)
            return is_own or by_function or any(runs_code(item.plan) for item in plan.embeds)
    answer = plan.written.answer
    return plan.resource.abilities.runs_code or (answer is not None and runs_code(answer))


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
    ),
    Written: lambda node: (node.actor, node.request, node.check, node.max_affected, node.answer),
    InsertPlan: lambda node: (node.body, node.written, node.replaceable),
    UpdatePlan: lambda node: (node.body, node.where, node.written),
    DeletePlan: lambda node: (node.where, node.written),
}
