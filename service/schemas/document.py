"""JSON Schemas of a resource's rows (JSON Schema 2020-12, as OpenAPI 3.1 has it)."""

from collections.abc import Iterable
from typing import Any

from service.catalog.resource import Column, Resource
from service.core.types import Action
from service.schemas.examples import change_example, insert_example, put_example, row_example
from service.schemas.types import value_schema

JsonObject = dict[str, Any]


def row_schema(resource: Resource) -> JsonObject:
    """A row as it is read. Nothing is required: `select` chooses what is in it. Computed columns come when selected."""
    columns = (*resource.columns.values(), *resource.computed.values())
    about = {"description": resource.comment} if resource.comment else {}
    return _object(columns) | {"title": resource.name, "examples": [row_example(resource)]} | about


def input_schema(resource: Resource, *actions: Action) -> JsonObject:
    """What these actions may write: the columns that PostgreSQL does not compute, and the caller may set."""
    writable = resource.writable(*actions).values()
    return _object(writable) | {"title": f"{resource.name} to write", "additionalProperties": False}


def insert_schema(resource: Resource, written: JsonObject) -> JsonObject:
    """A row to insert, on top of the schema `written`, which is referred to."""
    return written | _required(_required_names(resource)) | {"examples": [insert_example(resource)]}


def replacement_schema(resource: Resource, written: JsonObject) -> JsonObject:
    """A row to put. Its key stands in the URL, and may be left out of the body."""
    names = [name for name in _required_names(resource) if name not in resource.key]
    return written | _required(names) | {"examples": [put_example(resource)]}


def change_schema(resource: Resource, written: JsonObject) -> JsonObject:
    """The columns that a PATCH sets, at least one."""
    return written | {"minProperties": 1, "examples": [change_example(resource)]}


def _required_names(resource: Resource) -> list[str]:
    return [name for name, column in resource.writable(Action.CREATE).items() if column.is_required]


def _required(names: list[str]) -> JsonObject:
    return {"required": names} if names else {}


def _object(columns: Iterable[Column]) -> JsonObject:
    return {"type": "object", "properties": {column.name: _property(column) for column in columns}}


def _property(column: Column) -> JsonObject:
    schema = value_schema(column)
    return schema | {"description": column.comment} if column.comment else schema
