"""JSON Schemas of a resource's rows (JSON Schema 2020-12, as OpenAPI 3.1 has it), from the Pydantic models."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from service.catalog.resource import Resource
from service.schemas.examples import change_example, insert_example, put_example, row_example
from service.schemas.fields import input_model, row_model

JsonObject = dict[str, Any]


class _Plain(GenerateJsonSchema):
    """Says what Pydantic says in fewer words: `[integer, null]` for a union, no titles, no defaults of our own."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if not isinstance(inner.get("type"), str):
            return super().nullable_schema(schema)
        listed = {"enum": [*inner["enum"], None]} if "enum" in inner else {}
        return inner | {"type": [inner["type"], "null"]} | listed


def row_schema(resource: Resource) -> JsonObject:
    """A row as it is read. Nothing is required: `select` chooses what is in it."""
    schema = row_model(resource).model_json_schema(schema_generator=_Plain)
    schema.pop("required", None)
    return _described(schema, resource, resource.name, row_example(resource))


def insert_schema(resource: Resource) -> JsonObject:
    """A row to insert."""
    return _described(_input(resource), resource, f"{resource.name} to insert", insert_example(resource))


def replacement_schema(resource: Resource) -> JsonObject:
    """A row to put. Its key stands in the URL, and may be left out of the body."""
    schema = _input(resource)
    schema["required"] = [name for name in schema.pop("required", ()) if name not in resource.key]
    return _described(schema, resource, f"{resource.name} to put", put_example(resource))


def change_schema(resource: Resource) -> JsonObject:
    """The columns that a PATCH sets, at least one."""
    schema = _input(resource) | {"minProperties": 1}
    schema.pop("required", None)
    return _described(schema, resource, f"{resource.name} to change", change_example(resource))


def _input(resource: Resource) -> JsonObject:
    schema = input_model(resource).model_json_schema(schema_generator=_Plain)
    return schema if schema.get("required") else schema | {"minProperties": 1}


def _described(schema: JsonObject, resource: Resource, title: str, example: JsonObject) -> JsonObject:
    about = {"description": resource.comment} if resource.comment else {}
    return schema | {"title": title, "examples": [example]} | about
