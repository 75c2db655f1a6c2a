"""What kind of field a column is: how it is shown, typed in, and filtered."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Enum as SqlEnum

from service.catalog.resource import Column, Relation, Resource
from service.catalog.sql_type import RangeType


class Kind(StrEnum):
    """The control that fits a type of PostgreSQL."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    TIMESTAMP_ZONED = "timestamptz"
    INTERVAL = "interval"
    UUID = "uuid"
    ENUM = "enum"
    JSON = "json"
    BYTES = "bytes"
    ARRAY = "array"
    RANGE = "range"
    OTHER = "other"


_KIND_OF = {
    "boolean": Kind.BOOLEAN,
    "smallint": Kind.INTEGER,
    "integer": Kind.INTEGER,
    "bigint": Kind.INTEGER,
    "oid": Kind.INTEGER,
    "numeric": Kind.NUMBER,
    "real": Kind.NUMBER,
    "double precision": Kind.NUMBER,
    "text": Kind.TEXT,
    "character varying": Kind.TEXT,
    "character": Kind.TEXT,
    "citext": Kind.TEXT,
    "name": Kind.TEXT,
    "date": Kind.DATE,
    "time without time zone": Kind.TIME,
    "timestamp without time zone": Kind.TIMESTAMP,
    "timestamp with time zone": Kind.TIMESTAMP_ZONED,
    "interval": Kind.INTERVAL,
    "uuid": Kind.UUID,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
    "bytea": Kind.BYTES,
}
_RIGHT_ALIGNED = (Kind.INTEGER, Kind.NUMBER)


@dataclass(frozen=True, slots=True)
class Field:
    """A column as pages show it.

    `reference` is the way to the row that it names, where it alone is a foreign key; `composite` where it is the first
    column of one that has several.
    """

    column: Column
    kind: Kind
    reference: Relation | None
    is_key: bool
    labels: tuple[str, ...] = ()
    composite: Relation | None = None

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def is_right_aligned(self) -> bool:
        return self.kind in _RIGHT_ALIGNED and self.reference is None


def kind_of(column: Column) -> Kind:
    """The kind of a column, by its type below all domains."""
    base = column.base_type
    if column.representation is not None:
        return Kind.OTHER
    if base.endswith("[]"):
        return Kind.ARRAY
    if isinstance(column.type, SqlEnum):
        return Kind.ENUM
    if isinstance(column.type, RangeType) or (base.endswith(("range", "multirange")) and base not in _KIND_OF):
        return Kind.RANGE
    return _KIND_OF.get(base, Kind.OTHER)


def fields_of(resource: Resource) -> list[Field]:
    """The columns of a table, in their order."""
    return [field_of(resource, column) for column in resource.columns.values()]


def field_of(resource: Resource, column: Column) -> Field:
    kind = kind_of(column)
    labels = tuple(column.type.enums) if isinstance(column.type, SqlEnum) else ()
    single, composite = _references(resource, column.name)
    return Field(column, kind, single, column.name in resource.key, labels, composite)


def _references(resource: Resource, name: str) -> tuple[Relation | None, Relation | None]:
    """The foreign keys that begin with a column: of it alone, and of several. To a table rather than a view."""
    ways = [
        way
        for way in resource.relations
        if way.pairs and way.pairs[0][0] == name and way.constraint and not (way.is_back or way.is_many)
    ]
    ways.sort(key=lambda way: not way.is_direct)
    single = next((way for way in ways if len(way.pairs) == 1), None)
    return single, next((way for way in ways if len(way.pairs) > 1), None)


def label_column(resource: Resource) -> str | None:
    """The column that tells people which row it is: one of a telling name, or else the first text that is no key."""
    texts = [item.name for item in resource.columns.values() if kind_of(item) is Kind.TEXT]
    telling = ("name", "title", "label", "full_name", "display_name", "email", "code")
    found = next((name for name in telling if name in texts), None)
    return found or next((name for name in texts if name not in resource.key), None)
