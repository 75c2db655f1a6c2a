"""What is known of one served table. Every surface walks these values; none knows a table by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Table
from sqlalchemy.types import TypeEngine


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column: its SQL column, and what a caller may want to know of it.

    `sql_type` is the type as PostgreSQL writes it. A column that `is_required` must be in an insert.
    """

    name: str
    sql: "SqlColumn[object]"
    sql_type: str
    is_nullable: bool
    has_default: bool
    is_writable: bool
    comment: str | None

    @property
    def type(self) -> TypeEngine[object]:
        return self.sql.type

    @property
    def is_required(self) -> bool:
        return self.is_writable and not self.is_nullable and not self.has_default


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """A way from a row of one table to the row (or rows) of another that belong to it.

    `pairs` are (column here, column there). `constraint` is None for a way that no foreign key keeps.
    """

    name: str
    target: str
    is_many: bool
    pairs: tuple[tuple[str, str], ...]
    constraint: str | None

    def is_meant_by(self, hint: str) -> bool:
        """Whether a hint of the query language (constraint, column or name) picks this way."""
        return hint in (self.name, self.constraint) or any(hint in pair for pair in self.pairs)


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A served table. Compared by identity: the catalog holds one of each."""

    name: str
    table: Table
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    relations: tuple[Relation, ...]
    comment: str | None

    @classmethod
    def build(cls, name: str, table: Table, columns: tuple[Column, ...], relations: tuple[Relation, ...]) -> "Resource":
        return cls(
            name=name,
            table=table,
            columns=MappingProxyType({column.name: column for column in columns}),
            key=tuple(column.name for column in table.primary_key.columns),
            relations=relations,
            comment=table.comment,
        )
