"""Columns and types as PostgreSQL's catalogs describe them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy import Column as SqlColumn
from sqlalchemy.types import TypeEngine

from service.catalog.resource import Column, Representation
from service.catalog.sql_type import ArrayType, CompositeType, RangeType, SqlType

# What Pydantic and OpenAPI can say more of than their names. By the base type, so that domains are known too.
_KNOWN: Mapping[str, TypeEngine[Any]] = {
    "smallint": sa.SmallInteger(),
    "integer": sa.Integer(),
    "bigint": sa.BigInteger(),
    "real": sa.REAL(),
    "double precision": sa.Double(),
    "numeric": sa.Numeric(),
    "boolean": sa.Boolean(),
    "text": sa.Text(),
    "character varying": sa.Text(),
    "bpchar": sa.Text(),
    "date": sa.Date(),
    "time without time zone": sa.Time(),
    "timestamp without time zone": sa.DateTime(),
    "timestamp with time zone": sa.DateTime(timezone=True),
    "uuid": sa.Uuid(),
    "json": sa.JSON(),
    "jsonb": sa.JSON(),
}
_NO_REPRESENTATION = Representation()


@dataclass(frozen=True, slots=True)
class FoundType:
    """A type: its name, and what its domains (if it is one) demand of a value."""

    name: str
    base: str
    kind: TypeEngine[Any] | None
    is_required: bool
    default: str | None
    representation: Representation | None

    def sql(self, name: str) -> TypeEngine[Any]:
        """The SQLAlchemy type of a column whose type is written `name`."""
        return self.kind or SqlType(name)


Types = Mapping[int, FoundType]


def found_types(types: Iterable[asyncpg.Record], casts: Iterable[asyncpg.Record]) -> Types:
    """The types by object id."""
    representations = _representations(casts)
    kinds = _Kinds(types)
    return {
        row["oid"]: _type(row, kinds.of(row["oid"]), representations.get(row["oid"])) for row in kinds.rows.values()
    }


class _Kinds:
    """What is known of types besides their names, each made once."""

    def __init__(self, types: Iterable[asyncpg.Record]) -> None:
        self.rows = {row["oid"]: row for row in types}
        self._made: dict[int, TypeEngine[Any] | None] = {}

    def of(self, oid: int) -> TypeEngine[Any] | None:
        """None where the name says all."""
        if oid not in self._made:
            self._made[oid] = None  # what leads back to itself ends here
            self._made[oid] = self._make(self.rows[oid])
        return self._made[oid]

    def _make(self, row: asyncpg.Record) -> TypeEngine[Any] | None:
        name = row["base"]
        if row["labels"]:
            return sa.Enum(*row["labels"], name=row["base_name"], schema=row["base_schema"])
        if name in _KNOWN:
            return _KNOWN[name]
        if row["kind"] == "c":
            parts = zip(row["attributes"], row["attribute_types"], strict=True)
            return CompositeType(name, tuple((part, self._within(oid)) for part, oid in parts))
        if row["kind"] in ("r", "m") and row["base_schema"] != "pg_catalog":
            return RangeType(name, is_multiple=row["kind"] == "m")
        element = self.of(row["element"]) if row["element"] else None
        is_described = isinstance(element, (sa.Enum, CompositeType, RangeType))
        return ArrayType(name, element) if element is not None and is_described else None

    def _within(self, oid: int) -> TypeEngine[Any]:
        kind = self.of(oid)
        is_known = kind is None or self.rows[oid]["base"] in _KNOWN
        return SqlType(self.rows[oid]["base"]) if is_known or kind is None else kind


def _type(row: asyncpg.Record, kind: TypeEngine[Any] | None, representation: Representation | None) -> FoundType:
    return FoundType(
        name=row["name"],
        base=row["base"],
        kind=kind,
        is_required=row["is_required"],
        default=row["default"],
        representation=representation,
    )


def _representations(casts: Iterable[asyncpg.Record]) -> Mapping[int, Representation]:
    found: dict[int, Representation] = defaultdict(lambda: _NO_REPRESENTATION)
    for cast in casts:
        function = (cast["schema"], cast["name"])
        if cast["is_to_json"]:
            found[cast["source"]] = replace(found[cast["source"]], to_json=function)
        elif cast["is_from_json"]:
            found[cast["target"]] = replace(found[cast["target"]], from_json=function)
        elif cast["is_from_text"]:
            found[cast["target"]] = replace(found[cast["target"]], from_text=function)
    return found


def found_column(row: asyncpg.Record, kind: FoundType, is_writable: bool) -> Column:
    """A column of a relation. What generates it is no default: nothing else can fill it."""
    is_generated = row["generated"] != ""
    default = row["default"] or kind.default
    return Column(
        name=row["name"],
        sql=SqlColumn(row["name"], kind.sql(row["sql_type"]), comment=row["comment"]),
        sql_type=row["sql_type"],
        is_nullable=not (row["is_required"] or kind.is_required),
        has_default=row["has_default"] or row["identity"] != "" or kind.default is not None,
        is_writable=is_writable,
        comment=row["comment"],
        base_type=kind.base,
        default=None if is_generated or row["identity"] else default,
        representation=kind.representation,
        is_always_numbered=row["identity"] == "a",
    )


def output_column(name: str, kind: FoundType, comment: str | None = None) -> Column:
    """A value that a function makes: it may be null, and is not written."""
    return Column(
        name=name,
        sql=SqlColumn(name, kind.sql(kind.name), comment=comment),
        sql_type=kind.name,
        is_nullable=True,
        has_default=False,
        is_writable=False,
        comment=comment,
        base_type=kind.base,
        representation=kind.representation,
    )
