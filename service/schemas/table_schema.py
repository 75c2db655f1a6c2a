"""A table for programs: its columns with the types that JSON carries, which clients in R and Python read."""

from typing import Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, Field

from service.catalog.resource import Column, Relation, Resource
from service.core.types import Action
from service.schemas.types import value_schema

JsonType = Literal["integer", "number", "string", "boolean", "array", "object", "any"]


class ColumnSchema(BaseModel):
    """A column, or a function of the row that is read like one."""

    name: str = Field(description="Name of the column.")
    type: str = Field(description="Its type, as PostgreSQL writes it.", examples=["numeric(10,2)"])
    json_type: JsonType = Field(description="What JSON carries for a value.")
    format: str | None = Field(description="What kind of JSON value it is more exactly.", examples=["date-time"])
    nullable: bool = Field(description="Whether it may be null.")
    has_default: bool = Field(description="Whether an insert may leave it out.")
    writable: bool = Field(
        description="Whether you may set it in new rows, or change it. What PostgreSQL computes cannot be written."
    )
    comment: str | None = Field(description="What it holds.")
    values: list[str] | None = Field(description="The values of an enum, in their order; else null.")


class RelationSchema(BaseModel):
    """A way to rows of another table, which `select` can embed."""

    name: str = Field(description="The name that embeds it.")
    target: str = Field(description="The table that it leads to.")
    cardinality: str = Field(description="many-to-one, one-to-many, one-to-one or many-to-many.")
    columns: list[tuple[str, str]] = Field(
        description="Pairs of columns (here, there) that are equal; none where a table or function lies between."
    )


class TableSchema(BaseModel):
    """A table and all of its columns."""

    name: str = Field(description="Name of the table, as in its path.")
    comment: str | None = Field(description="What it holds.")
    key: list[str] = Field(description="Columns of its key, in the order in which a path names them.")
    columns: list[ColumnSchema] = Field(description="In the order of the table.")
    computed: list[ColumnSchema] = Field(description="Functions of the row: they come only when `select` names them.")
    relations: list[RelationSchema] = Field(description="What `select` can embed.")


def table_schema(resource: Resource) -> dict[str, Any]:
    """The schema as JSON has it; of the caller's catalog, so that it tells of nothing that is hidden."""
    settable = resource.writable(Action.CREATE, Action.UPDATE)
    return TableSchema(
        name=str(resource.name),
        comment=resource.comment,
        key=list(resource.key),
        columns=[_column(column, is_settable=column.name in settable) for column in resource.columns.values()],
        computed=[_column(column, is_settable=False) for column in resource.computed.values()],
        relations=[_relation(way) for way in resource.relations],
    ).model_dump(mode="json")


def _column(column: Column, *, is_settable: bool) -> ColumnSchema:
    schema = value_schema(column)
    kind = schema.get("type", "any")
    return ColumnSchema(
        name=column.name,
        type=column.sql_type,
        json_type=kind if isinstance(kind, str) else kind[0],
        format=schema.get("format"),
        nullable=column.is_nullable,
        has_default=column.has_default,
        writable=is_settable,
        comment=column.comment,
        values=list(column.type.enums) if isinstance(column.type, sa.Enum) else None,
    )


def _relation(way: Relation) -> RelationSchema:
    return RelationSchema(name=way.name, target=way.target, cardinality=way.cardinality, columns=list(way.pairs))
