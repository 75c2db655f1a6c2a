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
from service.catalog.sql_type import SqlType

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
    return {row["oid"]: _type(row, representations.get(row["oid"])) for row in types}


def _type(row: asyncpg.Record, representation: Representation | None) -> FoundType:
    labels = row["labels"]
    enum = sa.Enum(*labels, name=row["base_name"], schema=row["base_schema"]) if labels else None
    return FoundType(
        name=row["name"],
        base=row["base"],
        kind=enum or _KNOWN.get(row["base"]),
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
