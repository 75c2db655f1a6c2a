"""Columns, places inside them, and aggregates, as SQL expressions over one source of rows."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from service.catalog.resource import Column, Resource
from service.catalog.sql_type import SqlType
from service.core.errors import DatabaseUnavailable
from service.query.compile.statement import VERSION_LABEL, Parameters
from service.query.plan import Aggregate, Aggregated, Bind, ColumnRef, Step

_JSON = ("json", "jsonb")
_SUMMED_AS_SUCH = ("real", "double precision", "interval", "money")
# Without a length these names mean a length of one in a cast (PostgreSQL manual, chapter 8.3).
_UNBOUNDED = {"character": "pg_catalog.bpchar", "bit": 'pg_catalog."bit"', "character[]": "pg_catalog.bpchar[]"}


def comparable_type(column: Column) -> SqlType:
    """The type that a value is read as before it is compared: without length, which would cut it, below all domains,
    whose checks are for what is stored.
    """
    return SqlType(_UNBOUNDED.get(column.base_type, column.base_type))


class Columns:
    """The columns of a resource, under the name that its rows have in the statement."""

    def __init__(self, resource: Resource, source: FromClause, parameters: Parameters) -> None:
        self.resource = resource
        self.source = source
        self._parameters = parameters

    def described(self, reference: ColumnRef) -> Column:
        # Policy's conditions may be about columns that are hidden. What a caller names was found among the others.
        column = self.resource.stored.get(reference.name) or self.resource.computed.get(reference.name)
        if column is None:  # a grant of the new tables meets a request that began with the old ones
            raise DatabaseUnavailable("The tables have just changed; try again.", retry_after=1)
        return column

    def value(self, reference: ColumnRef | Aggregated) -> ColumnElement[Any]:
        """The expression of a column or aggregate, with its cast."""
        if isinstance(reference, Aggregated):
            return aggregated(reference, None if reference.column is None else self.value(reference.column))
        value = self._plain(self.described(reference))
        if reference.path:
            value = self._place(value, self.described(reference), reference.path)
        return sa.cast(value, SqlType(reference.cast)) if reference.cast else value

    def shown(self, reference: ColumnRef | Aggregated) -> ColumnElement[Any]:
        """The same as it stands in the answer: a domain may be rendered by a function of its own."""
        value = self.value(reference)
        if isinstance(reference, Aggregated) or reference.cast or reference.path:
            return value
        return self.rendered(self.described(reference), value)

    @staticmethod
    def rendered(column: Column, value: ColumnElement[Any]) -> ColumnElement[Any]:
        if column.representation is None or column.representation.to_json is None:
            return value
        made: ColumnElement[Any] = function(column.representation.to_json)(value)
        return made

    def type_of(self, reference: ColumnRef | Aggregated) -> SqlType:
        """The type to compare it as."""
        if isinstance(reference, Aggregated):
            return self._type_of_aggregate(reference)
        if reference.cast:
            return SqlType(reference.cast)
        column = self.described(reference)
        if not reference.path:
            return comparable_type(column)
        if reference.path[-1].is_text:
            return SqlType("text")
        return SqlType("json" if column.base_type == "json" else "jsonb")

    def row(self) -> ColumnElement[Any]:
        """The whole row as a value of the table's type, for a function that takes it."""
        table = self.resource.table
        kind = SqlType(qualified(table.schema, table.name))
        return sa.cast(sa.func.row(*(self.source.c[name] for name in self.resource.stored)), kind)

    def version(self) -> ColumnElement[str]:
        """The row version, as text: `xmin`, or a hash of what is shown of the row where there is none."""
        if self.resource.abilities.has_version:
            return sa.cast(row_version(self.source), Text)
        row = sa.func.row(*(self.source.c[name] for name in self.resource.columns))
        return sa.literal_column("'h'", Text) + sa.func.md5(sa.cast(row, Text))

    def _plain(self, column: Column) -> ColumnElement[Any]:
        if column.function is not None:
            made: ColumnElement[Any] = function(column.function)(self.row())
            return made
        value: ColumnElement[Any] = self.source.c[column.name]
        return value

    def _place(self, value: ColumnElement[Any], column: Column, path: tuple[Step, ...]) -> ColumnElement[Any]:
        if column.base_type not in _JSON:
            value = sa.func.to_jsonb(value)
        for step in path:
            place = (
                sa.cast(self._parameters[step.place], SqlType("text"))
                if isinstance(step.place, Bind)
                else sa.literal_column(str(step.place))
            )
            value = value.op("->>" if step.is_text else "->")(place)
        return sa.type_coerce(value, Text()) if path[-1].is_text else value

    def _type_of_aggregate(self, reference: Aggregated) -> SqlType:
        if reference.cast:
            return SqlType(reference.cast)
        match reference.function:
            case Aggregate.COUNT:
                return SqlType("bigint")
            case Aggregate.MIN | Aggregate.MAX if reference.column is not None:
                return self.type_of(reference.column)
            case Aggregate.SUM | Aggregate.AVG if reference.column is not None:
                return self._type_of_sum(reference.function, self.type_of(reference.column))
        return SqlType("numeric")

    @staticmethod
    def _type_of_sum(function: Aggregate, summed: SqlType) -> SqlType:
        """PostgreSQL manual, chapter 9.21. A whole number compares with a numeric one, a floating one does not."""
        if summed.name == "real" and function is Aggregate.AVG:
            return SqlType("double precision")
        return summed if summed.name in _SUMMED_AS_SUCH else SqlType("numeric")


def aggregated(reference: Aggregated, value: ColumnElement[Any] | None) -> ColumnElement[Any]:
    """The aggregate of a value over its group; of rows, where there is no value."""
    made = getattr(sa.func, reference.function.value)
    result: ColumnElement[Any] = made() if value is None else made(value)
    return sa.cast(result, SqlType(reference.cast)) if reference.cast else result


class _Called(FunctionElement[Any]):
    """A call of a function of the catalog. `sa.func` would take some names for its own, and strips underscores."""

    inherit_cache = False

    def __init__(self, schema: str, name: str, *arguments: ColumnElement[Any]) -> None:
        self.names = (schema, name)
        super().__init__(*arguments)


@compiles(_Called)
def _compile_call(element: _Called, compiler: SQLCompiler, **options: Any) -> str:
    name = ".".join(compiler.preparer.quote_identifier(part) for part in element.names)
    return f"{name}({compiler.process(element.clauses, **options)})"


def function(name: tuple[str, str]) -> Callable[..., FunctionElement[Any]]:
    """A function by schema and name; both come from the catalog."""
    return partial(_Called, *name)


def quoted(name: str) -> str:
    """An identifier as PostgreSQL reads it back, whatever letters it has."""
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str | None, name: str) -> str:
    return f"{quoted(schema or 'public')}.{quoted(name)}"


def quoted_text(text: str) -> ColumnElement[str]:
    """A name of the catalog as a text in SQL."""
    return sa.literal_column("'" + text.replace("'", "''") + "'", Text)


def row_version(source: FromClause) -> ColumnElement[Any]:
    """The number of the transaction that wrote the row: `xmin`, which every row has and no table lists (PostgreSQL
    manual, chapter 5.6), or what a write tells of it.
    """
    if VERSION_LABEL in source.c:
        return source.c[VERSION_LABEL]
    return sa.literal_column(f"{cast('sa.Alias', source).name}.xmin")
