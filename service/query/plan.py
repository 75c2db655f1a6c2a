"""Plans: what is asked of the tables, as frozen values. Parsers make them, policy adds to them, compile reads them.

A plan is hashable by its *shape*: the values that a request binds do not take part in equality, so that every request
of the same shape shares one compiled statement. Resources compare by identity.
"""

from dataclasses import dataclass, field
from enum import StrEnum

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


@dataclass(frozen=True, slots=True)
class GroupColumn:
    """What rows are grouped by, and no aggregate: a value of the answer, by its name there."""

    name: str


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
class Holds:
    """The row has in these columns what a row of the log has: `image`, as JSON."""

    columns: tuple[str, ...]
    image: Bind


@dataclass(frozen=True, slots=True)
class AnyOne:
    """The row is the first of those that meet `term`: without a key, several may be the same."""

    term: "Predicate"


@dataclass(frozen=True, slots=True)
class Guarded:
    """`term`, looked at only of rows that meet `by`: an error of it would tell of rows that the caller may not see."""

    by: "Predicate"
    term: "Predicate"


Predicate = Guarded | Comparison | Not | And | Or | HasVersion | HasEmbedded | Holds | AnyOne


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """PostgreSQL's default stands where `nulls_first` is None: last when ascending, first when descending.

    `embedded` is the alias of what is embedded to-one, where the column is one of that. Aggregates and what rows are
    grouped by stand only in a plan that groups.
    """

    column: ColumnRef | Aggregated | GroupColumn
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
class Since:
    """The place of a follower, who has what the snapshot `seen` sees, and of what `until` sees besides, the changes up
    to number `seq`.
    """

    seen: Bind
    until: Bind
    seq: Bind


@dataclass(frozen=True, slots=True)
class Past:
    """The rows of a table as they were: as a follower has them who stands there, or as a reader saw them at `time`
    (ISO 8601).

    `tracked` are the numbers of the log for the table and those that inherit from it; it `is_family` where there are
    such. With a `key`, only the row that has it need be right.
    """

    tracked: Bind
    since: Since | None = None
    time: Bind | None = None
    key: tuple[Bind, ...] = ()
    is_family: bool = False


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
    past: Past | None = None

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
        """Whether its order gives each row or group a place of its own, so that a cursor can continue it."""
        return self.limit is not None and (bool(self.resource.key) or self.is_grouped)


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key, seen from one of its ends: the table at the other, and `pairs` (column there, column here)."""

    resource: Resource
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write does besides writing.

    `check` must hold for each row as written, and what it refers to by `refers_to` must not be deleted softly;
    `max_affected` ends the statement where more rows would change; `answer` is what is returned of the rows, or None
    for nothing but their number.
    """

    actor: Bind
    request: Bind
    check: Predicate | None = None
    max_affected: Bind | None = None
    answer: ReadPlan | None = None
    refers_to: tuple[Reference, ...] = ()


class StagedForm(StrEnum):
    """How rows lie in the table that an import copies them into: a text a field, or one JSON object a row."""

    FIELDS = "fields"
    OBJECTS = "objects"


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows that the running transaction has copied into a table of its own: those numbered from `first` to `last`.

    Of FIELDS, `names` are the columns in the order of the fields, and the fields of `nested` are JSON. Where
    `empty_is_null`, an empty field is no value, but for columns of texts.
    """

    form: StagedForm
    first: Bind
    last: Bind
    names: tuple[str, ...] = ()
    nested: frozenset[str] = frozenset()
    empty_is_null: bool = False


class OnConflict(StrEnum):
    """What an insert does where the key is taken."""

    FAIL = "fail"
    REPLACE = "replace"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class InsertPlan:
    """Rows from a JSON array, or staged ones. Columns that are not named take their defaults.

    `conflict` are the columns whose uniqueness decides, by default the key. `replaceable` is what the row that is there
    must meet for REPLACE to touch it; with `resets_others` it takes the defaults of what is not named. With
    `fills_missing`, a column that one of the objects lacks takes its default there too, and not NULL. With `restores`,
    numbers are written that PostgreSQL else gives by itself.
    """

    resource: Resource
    columns: tuple[str, ...]
    body: Bind | Staged
    written: Written
    on_conflict: OnConflict = OnConflict.FAIL
    replaceable: Predicate | None = None
    conflict: tuple[str, ...] = ()
    resets_others: bool = False
    fills_missing: bool = False
    restores: bool = False


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Set columns of the selected rows from a JSON object. `defaults` go back to their defaults.

    With `is_by_key` the body is an array, and each of its objects changes the row whose key it names. Rows that are
    referred to by `unreferenced_by`, and are deleted softly by this, end the statement. `with_deleted`: rows too that
    were deleted softly before.
    """

    resource: Resource
    columns: tuple[str, ...]
    body: Bind
    where: Predicate | None
    written: Written
    defaults: tuple[str, ...] = ()
    is_by_key: bool = False
    unreferenced_by: tuple[Reference, ...] = ()
    with_deleted: bool = False


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """Delete the selected rows. `with_deleted`: those too that are deleted softly, which are then removed. Rows that
    are referred to by `unreferenced_by` end the statement.
    """

    resource: Resource
    where: Predicate | None
    written: Written
    with_deleted: bool = False
    unreferenced_by: tuple[Reference, ...] = ()


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


@dataclass(frozen=True, slots=True)
class FollowedTable:
    """The changes of one table that are followed.

    `read` says what is shown of a row. A change is followed if the row met `where` before it or meets it after it, as
    far as it is or was `visible`; of both there are two, since binds stand in one place each. `tracked` are the
    numbers of the log for the table and those that inherit from it; it `is_family` where there are such. What was
    logged before `read_since` (ISO 8601) cannot be read by the types of now.
    """

    read: ReadPlan
    tracked: Bind
    read_since: Bind
    where: Predicate | None = None
    was_where: Predicate | None = None
    visible: Predicate | None = None
    was_visible: Predicate | None = None
    is_family: bool = False

    @property
    def is_searched(self) -> bool:
        """Whether rows have to be looked at to find the changes that are followed."""
        return self.where is not None or self.visible is not None or self.read.resource.hides_columns


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """Changes of tables that the snapshot `until` sees and `seen` does not, behind the number `after`, in order.

    They are at most `limit`, and none is numbered higher than `last`.
    """

    tables: tuple[FollowedTable, ...]
    seen: Bind
    until: Bind
    after: Bind
    last: Bind
    limit: Bind


@dataclass(frozen=True, slots=True)
class HistoryPlan:
    """Changes of tables that the log has, the latest first: at most `limit` that are numbered below `before`.

    Of each table, those whose row met `where` before or meets it after; of one table, those of the row with this `key`.
    What is None is not asked for; `down_to` is the lowest number that is looked at. `is_trash`: only the last deletions
    of rows that are not there.
    """

    tables: tuple[FollowedTable, ...]
    before: Bind
    limit: Bind
    key: tuple[Bind, ...] = ()
    actor: Bind | None = None
    request: Bind | None = None
    transaction: Bind | None = None
    since: Bind | None = None
    until: Bind | None = None
    operations: Bind | None = None
    numbers: Bind | None = None
    down_to: Bind | None = None
    is_trash: bool = False

    @property
    def is_searched(self) -> bool:
        """Whether rows have to be looked at to find those that are asked for, and no index leads to them."""
        if self.key or self.numbers is not None:
            return False
        return self.is_trash or any(table.is_searched for table in self.tables)


@dataclass(frozen=True, slots=True)
class VerifyPlan:
    """What the log says of a table's rows in these columns, beside what they are. `since` is a time (ISO 8601). It
    `is_family` where tables inherit from it.
    """

    resource: Resource
    columns: tuple[str, ...]
    tracked: Bind
    since: Bind
    limit: Bind
    is_family: bool = False


WritePlan = InsertPlan | UpdatePlan | DeletePlan
Plan = ReadPlan | WritePlan | CallPlan | FeedPlan | HistoryPlan | VerifyPlan


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
