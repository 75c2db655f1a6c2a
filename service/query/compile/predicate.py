"""Predicates and order to SQL conditions."""

from collections.abc import Mapping
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import ARRAY, ColumnElement, FromClause, Text, and_, false, not_, or_, true
from sqlalchemy.types import UserDefinedType

from service.catalog.resource import Resource
from service.query.compile.statement import Parameters
from service.query.plan import (
    AfterKey,
    And,
    Bind,
    ColumnRef,
    Comparison,
    HasVersion,
    IsValue,
    Not,
    Operator,
    Or,
    OrderTerm,
    Predicate,
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
}
_ON_TEXT = frozenset({Operator.LIKE, Operator.ILIKE, Operator.MATCH, Operator.IMATCH})


class SqlType(UserDefinedType[Any]):
    """A PostgreSQL type by its name, as the catalog or the list of allowed casts writes it."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: object) -> str:
        return self.name


class Conditions:
    """Compiles predicates over one table under the name that it has in the statement."""

    def __init__(self, resource: Resource, source: FromClause, parameters: Parameters) -> None:
        self._resource = resource
        self._source = source
        self._parameters = parameters

    def column(self, reference: ColumnRef) -> ColumnElement[Any]:
        column: ColumnElement[Any] = self._source.c[reference.name]
        return sa.cast(column, SqlType(reference.cast)) if reference.cast else column

    def version(self) -> ColumnElement[str]:
        """The row version, as text."""
        return sa.cast(_system_column(self._source, "xmin"), Text)

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
            case HasVersion(versions=versions):
                wanted = sa.cast(self._parameters[versions], ARRAY(SqlType("xid")))
                return _system_column(self._source, "xmin") == sa.any_(wanted)

    def _comparison(self, comparison: Comparison) -> ColumnElement[bool]:
        left = self.column(comparison.column)
        if comparison.constant is not None:
            return _is(left, comparison.constant)
        assert comparison.operand is not None
        if comparison.operator is Operator.IN:
            return left == sa.any_(sa.cast(self._parameters[comparison.operand], ARRAY(self._type(comparison.column))))
        if comparison.operator in _ON_TEXT:
            right: ColumnElement[Any] = self._parameters[comparison.operand]
        else:
            right = self._value(comparison.column, comparison.operand)
        return left.bool_op(_SYMBOLS[comparison.operator])(right)

    def _value(self, reference: ColumnRef, bind: Bind) -> ColumnElement[Any]:
        return sa.cast(self._parameters[bind], self._type(reference))

    def _type(self, reference: ColumnRef) -> SqlType:
        return SqlType(reference.cast or self._resource.columns[reference.name].sql_type)

    def order(self, term: OrderTerm) -> ColumnElement[Any]:
        column = self.column(term.column)
        column = column.desc() if term.is_descending else column.asc()
        if term.nulls_first is None:
            return column
        return column.nulls_first() if term.nulls_first else column.nulls_last()

    def after(self, key: AfterKey, order: tuple[OrderTerm, ...]) -> ColumnElement[bool]:
        """Rows that sort behind the given one.

        One row comparison where all columns go the same way and none can be NULL, which an index can serve
        (PostgreSQL manual, chapter 9.25); else column by column: equal so far, and then further on.
        """
        if self._is_uniform(order):
            here = sa.tuple_(*(self.column(term.column) for term in order))
            there = sa.tuple_(
                *(self._value(term.column, bind) for term, bind in zip(order, key.values, strict=True) if bind)
            )
            return here < there if order[0].is_descending else here > there
        steps, equal = [], list[ColumnElement[bool]]()
        for term, bind in zip(order, key.values, strict=True):
            steps.append(and_(*equal, self._further(term, bind)))
            equal.append(self._same(term, bind))
        return or_(*steps)

    def _is_uniform(self, order: tuple[OrderTerm, ...]) -> bool:
        return len({term.is_descending for term in order}) == 1 and not any(
            self._resource.columns[term.column.name].is_nullable for term in order
        )

    def _same(self, term: OrderTerm, bind: Bind | None) -> ColumnElement[bool]:
        column = self.column(term.column)
        return column.is_(None) if bind is None else column == self._value(term.column, bind)

    def _further(self, term: OrderTerm, bind: Bind | None) -> ColumnElement[bool]:
        column = self.column(term.column)
        if bind is None:
            return column.is_not(None) if term.puts_nulls_first else false()
        value = self._value(term.column, bind)
        beyond = column < value if term.is_descending else column > value
        is_nullable = self._resource.columns[term.column.name].is_nullable
        return or_(beyond, column.is_(None)) if is_nullable and not term.puts_nulls_first else beyond


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


def _system_column(source: FromClause, name: str) -> ColumnElement[Any]:
    """A column that every row has and no table lists (PostgreSQL manual, chapter 5.6)."""
    return source.c[name] if name in source.c else sa.literal_column(f"{cast('sa.Alias', source).name}.{name}")


def or_refuse(condition: ColumnElement[bool], state: str, reason: str) -> ColumnElement[bool]:
    """The condition; where it does not hold, the statement ends. State and reason are our own words, never a caller's.

    CASE, since AND and OR promise no order of evaluation (PostgreSQL manual, chapter 4.2.14).
    """
    refuse = sa.func.rowhouse.refuse(sa.literal_column(f"'{state}'"), sa.literal_column(f"'{reason}'"))
    return sa.case((condition, true()), else_=refuse)
