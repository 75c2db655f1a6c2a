"""What is known of one served table. Every surface walks these values; none knows a table by name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Table
from sqlalchemy.types import TypeEngine

from service.catalog.handler import Handler
from service.catalog.indexed import Indexed
from service.core.types import Action

# When a row was deleted, in tables whose rows are hidden rather than removed.
DELETED_AT = "deleted_at"


@dataclass(frozen=True, slots=True)
class Representation:
    """Functions (schema, name) that a domain is cast by; None where it has no such cast."""

    to_json: tuple[str, str] | None = None
    from_json: tuple[str, str] | None = None
    from_text: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column: its SQL column, and what a caller may want to know of it.

    `sql_type` is the type as PostgreSQL writes it, `base_type` the same below all domains and without length or
    precision. `default` is the SQL expression that fills it. A column that `is_required` must be in an insert.
    `representation` are the casts of a domain to and from JSON and text, where it has any. A computed column has the
    `function` (schema, name) that makes it from the row. One that
    `is_always_numbered` (GENERATED ALWAYS AS IDENTITY) is written only to restore what it was.
    """

    name: str
    sql: "SqlColumn[object]"
    sql_type: str
    is_nullable: bool
    has_default: bool
    is_writable: bool
    comment: str | None
    base_type: str = ""
    default: str | None = None
    representation: Representation | None = None
    function: tuple[str, str] | None = None
    is_always_numbered: bool = False

    @property
    def type(self) -> TypeEngine[object]:
        return self.sql.type

    @property
    def is_required(self) -> bool:
        return self.is_writable and not self.is_nullable and not self.has_default


@dataclass(frozen=True, slots=True, eq=False)
class Junction:
    """A table between two others: `pairs` lead to it from here, `onward` from it to the target.

    `constraints` are the foreign keys of the two halves.
    """

    table: Table
    name: str
    pairs: tuple[tuple[str, str], ...]
    onward: tuple[tuple[str, str], ...]
    constraints: tuple[str, str]


class OnDelete(StrEnum):
    """What a foreign key does with rows that refer to one that is deleted, as `pg_constraint.confdeltype` has it."""

    NO_ACTION = "a"
    RESTRICT = "r"
    CASCADE = "c"
    SET_NULL = "n"
    SET_DEFAULT = "d"


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """A way from a row of one table to the row (or rows) of another that belong to it.

    `target` is the name of a resource. `pairs` are (column here, column there);
    through a `junction` they are empty. `constraint` is None for a way that no foreign key keeps. A computed
    relationship has a `function` (schema, name) instead, which takes the row.

    `is_back` leads from the row that is referred to; in a one-to-one relationship at most one row refers to it. A way
    that `is_hinted` is taken only where a hint names it. A way that `is_direct` leads to a table itself, others to
    a view that shows its rows. `on_delete` is what the foreign key does.
    """

    name: str
    target: str
    is_many: bool
    pairs: tuple[tuple[str, str], ...]
    constraint: str | None
    junction: Junction | None = None
    function: tuple[str, str] | None = None
    is_back: bool = False
    is_one_to_one: bool = False
    is_hinted: bool = False
    is_direct: bool = False
    on_delete: OnDelete = OnDelete.NO_ACTION

    @property
    def cardinality(self) -> str:
        """In PostgREST's words."""
        if self.junction is not None:
            return "many-to-many"
        if self.is_one_to_one:
            return "one-to-one"
        return "one-to-many" if self.is_many else "many-to-one"

    def is_meant_by(self, hint: str) -> bool:
        """Whether a hint of the query language (constraint, column, junction or name) picks this way."""
        if self.junction is not None:
            return hint in (self.name, self.junction.name, *self.junction.constraints)
        return hint in (self.name, self.constraint) or any(hint in pair for pair in self.pairs)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What PostgreSQL can do with the rows.

    `has_version`: they have an `xmin` (views and foreign tables have none). `runs_code`: functions run when they are
    read or written (views, triggers, row security). Rows that are routed to a partition are written without their
    system columns.
    """

    can_insert: bool = True
    can_update: bool = True
    can_delete: bool = True
    has_version: bool = True
    runs_code: bool = False
    is_partitioned: bool = False


@dataclass(frozen=True, slots=True)
class ColumnRights:
    """The columns of a table that a role may read (None: all), and those that bodies of an action may set; an action
    that has no entry may set all.
    """

    readable: frozenset[str] | None = None
    settable: Mapping[Action, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A served table, view or foreign table. Compared by identity: the catalog holds one of each.

    `name` is as in its path; outside the first exposed schema it is `schema.name`. `computed` are functions that take
    the row and return a value: they are read like columns. `unique` are the columns of
    each unique index, by its name; `handlers` are what renders the rows in other media types; `indexed` are the columns
    that indexes lead to.

    `columns` are those that may be read, and named; `stored` are all that the table has, which policy and PostgreSQL
    work with. They differ where a role may not see all (`narrowed`), as may what a body sets: `settable`, by action,
    which has no entry where that is everything.
    """

    name: str
    table: Table
    columns: Mapping[str, Column]
    stored: Mapping[str, Column]
    key: tuple[str, ...]
    relations: tuple[Relation, ...]
    comment: str | None
    abilities: Abilities = Abilities()
    computed: Mapping[str, Column] = field(default_factory=dict)
    unique: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    handlers: Mapping[str, Handler] = field(default_factory=lambda: MappingProxyType({}))
    settable: Mapping[Action, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    indexed: tuple[Indexed, ...] = ()

    @classmethod
    def build(
        cls,
        name: str,
        table: Table,
        columns: tuple[Column, ...],
        relations: tuple[Relation, ...],
        abilities: Abilities = Abilities(),
        computed: tuple[Column, ...] = (),
        unique: Mapping[str, tuple[str, ...]] | None = None,
        handlers: Iterable[Handler] = (),
        indexed: Iterable[Indexed] = (),
    ) -> "Resource":
        names = {column.sql: column.name for column in columns}
        stored = MappingProxyType({column.name: column for column in columns})
        return cls(
            name=name,
            table=table,
            columns=stored,
            stored=stored,
            key=tuple(names[column] for column in table.primary_key.columns),
            relations=relations,
            comment=table.comment,
            abilities=abilities,
            computed=MappingProxyType({column.name: column for column in computed}),
            unique=MappingProxyType(dict(unique or {})),
            handlers=MappingProxyType({handler.media_type: handler for handler in handlers}),
            indexed=tuple(indexed),
        )

    @property
    def hides_columns(self) -> bool:
        return len(self.columns) < len(self.stored)

    def sets(self, name: str, action: Action) -> bool:
        """Whether a body of this action may set the column, as far as that is granted."""
        return action not in self.settable or name in self.settable[action]

    def in_bodies(self, *actions: Action) -> Mapping[str, Column]:
        """The columns that bodies of these actions may name: those that may be read, or set by one of them."""
        if not self.hides_columns:
            return self.stored
        return {
            name: column
            for name, column in self.stored.items()
            if name in self.columns or any(self.sets(name, action) for action in actions)
        }

    def writable(self, *actions: Action) -> dict[str, Column]:
        """The columns that PostgreSQL lets be written; those that bodies of one of these actions may set, where some
        are named.
        """
        return {
            name: column
            for name, column in self.stored.items()
            if column.is_writable and (not actions or any(self.sets(name, action) for action in actions))
        }

    def narrowed(self, rights: ColumnRights) -> "Resource":
        """The table to those who have these rights alone.

        Without all of its key it has none. What is about columns that are hidden, or needs whole rows, is left out.
        """
        settable, readable = MappingProxyType(dict(rights.settable)), rights.readable
        if readable is None or readable >= self.stored.keys():
            return replace(self, settable=settable)
        return replace(
            self,
            columns=MappingProxyType({name: column for name, column in self.stored.items() if name in readable}),
            key=self.key if all(name in readable for name in self.key) else (),
            unique=MappingProxyType(
                {name: columns for name, columns in self.unique.items() if all(one in readable for one in columns)}
            ),
            handlers=MappingProxyType({kind: one for kind, one in self.handlers.items() if one.rows_of is None}),
            settable=settable,
            indexed=tuple(one for one in self.indexed if one.name in readable),
        )

    @property
    def hides_deleted(self) -> bool:
        """Whether its rows are deleted by saying when: it is a table with a `deleted_at` that may be empty."""
        column = self.stored.get(DELETED_AT)
        if column is None or not (self.abilities.has_version and self.abilities.can_update):
            return False
        return column.is_nullable and column.is_writable and column.base_type.startswith("timestamp")
