"""Predicates and order to SQL conditions."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import ARRAY, ColumnElement, FromClause, Text, and_, false, not_, or_, true

from service.catalog.sql_type import SqlType
from service.query.compile.columns import Columns, function, row_version
from service.query.compile.keyset import SortKey
from service.query.compile.logged import image, told_apart
from service.query.compile.statement import Parameters
from service.query.plan import (
    Aggregated,
    And,
    AnyOne,
    Bind,
    ColumnRef,
    Comparison,
    GroupColumn,
    Guarded,
    HasEmbedded,
    HasVersion,
    Holds,
    IsValue,
    Not,
    Operator,
    Or,
    OrderTerm,
    Predicate,
    Quantifier,
)

_SYMBOLS: Mapping[Operator, str] = {
    Operator.EQ: "=",
    Operator.NEQ: "<>",
    Operator.GT: ">",
    Operator.GTE: ">=",
    Operator.LT: "<",
    Operator.LTE: "<=",
    Operator.LIKE: "LIKE",
    Operator.ILIKE: "ILIKE",
    Operator.MATCH: "~",
    Operator.IMATCH: "~*",
    Operator.IS_DISTINCT: "IS DISTINCT FROM",
    Operator.CONTAINS: "@>",
    Operator.CONTAINED: "<@",
    Operator.OVERLAPS: "&&",
    Operator.LEFT_OF: "<<",
    Operator.RIGHT_OF: ">>",
    Operator.NOT_RIGHT: "&<",
    Operator.NOT_LEFT: "&>",
    Operator.ADJACENT: "-|-",
}
_ON_TEXT = frozenset({Operator.LIKE, Operator.ILIKE, Operator.MATCH, Operator.IMATCH})
_SEARCHES: Mapping[Operator, str] = {
    Operator.FTS: "to_tsquery",
    Operator.PLFTS: "plainto_tsquery",
    Operator.PHFTS: "phraseto_tsquery",
    Operator.WFTS: "websearch_to_tsquery",
}

# Whether the row has related rows, of what the plan embeds under an alias.
Presence = Callable[[str], ColumnElement[bool]]


class Conditions:
    """Compiles predicates over the rows of one table."""

    def __init__(self, columns: Columns, parameters: Parameters, presence: Presence | None = None) -> None:
        self.columns = columns
        self._parameters = parameters
        self._presence = presence

    def where(self, predicate: Predicate) -> ColumnElement[bool]:
        match predicate:
            case Comparison():
                return self._comparison(predicate)
            case Not(term=term):
                return not_(self.where(term))
            case And(terms=terms):
                return and_(true(), *map(self.where, terms))
            case Or(terms=terms):
                return or_(false(), *map(self.where, terms))
            case HasEmbedded(alias=alias):
                assert self._presence is not None
                return self._presence(alias)
            case Guarded(by=by, term=term):
                return sa.case((self.where(by), self.where(term)), else_=false())
            case HasVersion(versions=versions):
                return self._is_version(versions)
            case Holds(columns=columns, image=logged):
                return and_(true(), *(self._holds(name, logged) for name in columns))
            case AnyOne(term=term):
                return self._is_first(term)

    def _is_first(self, term: Predicate) -> ColumnElement[bool]:
        """By its place in the table: nothing else may tell it from others."""
        resource = self.columns.resource
        rows = resource.table.alias("same")
        meets = Conditions(Columns(resource, rows, self._parameters), self._parameters).where(term)
        first = sa.select(*_place(rows)).where(meets).limit(sa.literal_column("1"))
        return sa.tuple_(*_place(self.columns.source)).in_(first)

    def _holds(self, name: str, logged: Bind) -> ColumnElement[bool]:
        """Keys by their equality, which has an index; others as they are written, since some types have none."""
        resource, value = self.columns.resource, self.columns.source.c[name]
        row = image(resource, self._parameters[logged], "l", sa.null(), (name,))
        held = sa.select(row.c[name]).scalar_subquery()
        if name in resource.key:
            return value == held
        stands, was = (sa.cast(told_apart(resource.stored[name], one), Text) for one in (value, held))
        return stands.is_not_distinct_from(was)

    def _is_version(self, versions: Bind) -> ColumnElement[bool]:
        if not self.columns.resource.abilities.has_version:
            return self.columns.version() == sa.any_(sa.cast(self._parameters[versions], ARRAY(Text)))
        wanted = sa.cast(self._parameters[versions], ARRAY(SqlType("xid")))
        return row_version(self.columns.source) == sa.any_(wanted)

    def _comparison(self, comparison: Comparison) -> ColumnElement[bool]:
        left = self.columns.value(comparison.column)
        if comparison.constant is not None:
            return _is(left, comparison.constant)
        assert comparison.operand is not None
        if comparison.operator in _SEARCHES:
            return self._search(comparison, left)
        if comparison.operator is Operator.IN:
            return self._in(comparison.column, left, comparison.operand)
        if comparison.quantifier is not None:
            return self._quantified(comparison, left, comparison.operand)
        if comparison.operator in _ON_TEXT:
            right: ColumnElement[Any] = self._parameters[comparison.operand]
        else:
            right = self._value(comparison.column, comparison.operand)
        return left.bool_op(_SYMBOLS[comparison.operator])(right)

    def _in(self, reference: ColumnRef | Aggregated, left: ColumnElement[Any], operand: Bind) -> ColumnElement[bool]:
        kind = self.columns.type_of(reference)
        if (read := self._reader(reference)) is not None:
            written = sa.func.unnest(self._parameters[operand]).column_valued("x")
            return left.in_(sa.select(function(read)(written)))
        if not kind.name.endswith("[]"):
            return left == sa.any_(sa.cast(self._parameters[operand], ARRAY(kind)))
        # An array of arrays is one array of more dimensions: each is read by itself.
        texts = sa.func.unnest(self._parameters[operand]).column_valued("x")
        return left.in_(sa.select(sa.cast(texts, kind)))

    def _quantified(self, comparison: Comparison, left: ColumnElement[Any], operand: Bind) -> ColumnElement[bool]:
        kind = SqlType("text") if comparison.operator in _ON_TEXT else self.columns.type_of(comparison.column)
        values = sa.cast(self._parameters[operand], ARRAY(kind))
        some = sa.any_(values) if comparison.quantifier is Quantifier.ANY else sa.all_(values)
        return left.bool_op(_SYMBOLS[comparison.operator])(some)

    def _search(self, comparison: Comparison, left: ColumnElement[Any]) -> ColumnElement[bool]:
        assert comparison.operand is not None
        words = [] if comparison.configuration is None else [self._configuration(comparison.configuration)]
        query = getattr(sa.func, _SEARCHES[comparison.operator])(*words, self._parameters[comparison.operand])
        if self.columns.type_of(comparison.column).name != "tsvector":
            again = [] if comparison.configuration is None else [self._configuration(comparison.configuration)]
            left = sa.func.to_tsvector(*again, left)
        return left.bool_op("@@")(query)

    def _configuration(self, bind: Bind) -> ColumnElement[Any]:
        return sa.cast(self._parameters[bind], SqlType("regconfig"))

    def _value(self, reference: ColumnRef | Aggregated, bind: Bind) -> ColumnElement[Any]:
        text = self._parameters[bind]
        if (read := self._reader(reference)) is not None:
            return function(read)(text)
        return sa.cast(text, self.columns.type_of(reference))

    def _reader(self, reference: ColumnRef | Aggregated) -> tuple[str, str] | None:
        """The function that reads a text as a value of the column's domain, where it has one."""
        if isinstance(reference, Aggregated) or reference.path or reference.cast:
            return None
        representation = self.columns.described(reference).representation
        return None if representation is None else representation.from_text

    def key(self, term: OrderTerm) -> SortKey:
        """What the term orders by, where that is a column of the table or an aggregate."""
        column = term.column
        assert not isinstance(column, GroupColumn)
        value, kind = self.columns.value(column), self.columns.type_of(column)
        return SortKey(term, value, kind, partial(self._value, column), self._may_be_null(column))

    def _may_be_null(self, column: ColumnRef | Aggregated) -> bool:
        if isinstance(column, Aggregated) or column.path:
            return True
        return self.columns.described(column).is_nullable


def _place(rows: FromClause) -> list[ColumnElement[Any]]:
    """Where a row is (PostgreSQL manual, chapter 5.6)."""
    name = cast("sa.Alias", rows).name
    return [sa.literal_column(f"{name}.{column}") for column in ("tableoid", "ctid")]


def _is(left: ColumnElement[Any], constant: IsValue) -> ColumnElement[bool]:
    match constant:
        case IsValue.NULL:
            return left.is_(None)
        case IsValue.NOT_NULL:
            return left.is_not(None)
        case IsValue.TRUE:
            return left.is_(true())
        case IsValue.FALSE:
            return left.is_(false())
        case IsValue.UNKNOWN:
            return left.bool_op("IS")(sa.literal_column("UNKNOWN"))


def or_refuse(
    condition: ColumnElement[bool], state: str, reason: str, number: ColumnElement[int] | None = None
) -> ColumnElement[bool]:
    """The condition; where it does not hold, the statement ends. State and reason are our own words, never a caller's.
    A number goes into the reason in place of `{}`.

    CASE, since AND and OR promise no order of evaluation (PostgreSQL manual, chapter 4.2.14).
    """
    words: ColumnElement[Any] = sa.literal_column(f"'{reason}'", Text)
    if number is not None:
        words = sa.func.replace(words, sa.literal_column("'{}'", Text), sa.cast(number, Text))
    refuse = sa.func.rowhouse.refuse(sa.literal_column(f"'{state}'"), words)
    return sa.case((condition, true()), else_=refuse)
