"""The OpenAPI document, made from the declared tables and from one with odd names. No server, no database."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from service.api.openapi import ApiDocuments, build_document, control_plane
from service.api.table_parameters import component_name, example_filter
from service.application import create_app
from service.catalog.catalog import Catalog
from service.catalog.declared import declared_catalog
from service.catalog.resource import Column, Relation, Resource
from service.models import TableBase
from service.query.parse.condition import parse_condition
from service.query.parse.order import parse_order
from service.schemas.document import row_schema
from service.schemas.examples import change_example, insert_example, row_example
from service.schemas.fields import explain_rows, input_model, row_model
from tests.service_under_test import settings_from

Document = dict[str, Any]
METHODS = {"get", "put", "post", "patch", "delete"}


def odd_table() -> Resource:
    """A table whose names and types are not like those of the demo."""
    columns: list[sa.Column[Any]] = [
        sa.Column("a b", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("select", sa.Integer, comment='Named "like" a word of the language'),
        sa.Column("wall clock", sa.DateTime),
        sa.Column("moment", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("price", sa.Numeric(10, 2), nullable=False),
        sa.Column("mood", sa.Enum("sad", "glad", name="mood")),
        sa.Column("short", sa.String(2)),
        sa.Column("at", sa.Time),
        sa.Column("is_on", sa.Boolean),
        sa.Column("parts", sa.ARRAY(sa.Integer)),
        sa.Column("more", sa.JSON),
        sa.Column("id", sa.Uuid),
    ]
    table = sa.Table("odd ñame", sa.MetaData(), *columns)
    described = tuple(
        Column(
            name=column.name,
            sql=column,
            sql_type=str(column.type),
            is_nullable=bool(column.nullable),
            has_default=column.server_default is not None,
            is_writable=True,
            comment=column.comment,
        )
        for column in columns
    )
    way = Relation("other", "rpc", is_many=True, pairs=(("a b", "a b"),), constraint=None)
    return Resource.build(table.name, table, described, (way,))


def keyless_table() -> Resource:
    """A view, say, and of a reserved name."""
    column: sa.Column[Any] = sa.Column("a b", sa.Text)
    table = sa.Table("rpc", sa.MetaData(), column)
    found = Column("a b", column, "text", is_nullable=True, has_default=False, is_writable=True, comment=None)
    return Resource.build("rpc", table, (found,), ())


RESOURCES = (*declared_catalog(TableBase), odd_table(), keyless_table())


@pytest.fixture(scope="module")
def document() -> Document:
    settings = settings_from({"DATABASE_URL": "postgresql://nowhere/none", "LOG_LEVEL": "WARNING"})
    return build_document(control_plane(create_app(settings)), Catalog(RESOURCES), settings.api)


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_leads_somewhere(document: Document) -> None:
    for reference in set(references(document)):
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        assert target


def test_components_have_names_that_openapi_allows(document: Document) -> None:
    for kind in document["components"].values():
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in kind)


def test_different_tables_never_share_a_component() -> None:
    names = ["a b", "a_b", "a.b", "a.20.b", "a-b", "A B", "ä", "a..b"]
    assert len({component_name(name) for name in names}) == len(names)


def test_operations_and_tags_have_names_of_their_own(document: Document) -> None:
    identifiers = [operation["operationId"] for _, _, operation in operations(document)]
    tags = [tag["name"] for tag in document["tags"]]
    assert len(set(identifiers)) == len(identifiers)
    assert len(set(tags)) == len(tags)


def test_every_table_has_its_paths(document: Document) -> None:
    for resource in declared_catalog(TableBase):
        assert {"get", "post", "patch", "delete"} <= document["paths"][f"/api/v1/{resource.name}"].keys()
        assert {"get", "put", "patch", "delete"} <= document["paths"][f"/api/v1/{resource.name}/{{key}}"].keys()


def test_odd_names_are_written_as_a_request_writes_them(document: Document) -> None:
    assert "/api/v1/odd%20%C3%B1ame/{key}" in document["paths"]
    assert "/api/v1/-/tables/rpc" in document["paths"]
    names = [parameter["name"] for parameter in document["components"]["parameters"].values()]
    assert '"a b"' in names


def test_a_table_without_a_key_has_no_rows_of_their_own(document: Document) -> None:
    assert "/api/v1/-/tables/rpc/{key}" not in document["paths"]


def test_a_column_named_like_a_word_of_the_language_is_no_filter(document: Document) -> None:
    words = [item for item in document["components"]["parameters"].values() if item["name"] == "select"]
    assert len(words) == 1


def test_errors_are_problems_and_never_those_of_fastapi(document: Document) -> None:
    assert "HTTPValidationError" not in json.dumps(document)
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and path.startswith("/api/"):
                assert answer == {"$ref": f"#/components/responses/{status}"}, (method, path)


def test_what_any_request_can_be_told_is_listed(document: Document) -> None:
    for path, method, operation in operations(document):
        if path.startswith("/api/v1/") and "/-/auth" not in path:
            listed = operation["responses"].keys()
            assert {"400", "401", "414", "429", "503"} <= listed, (method, path)
            assert ("413" in listed) == ("requestBody" in operation)


def test_examples_of_errors_have_the_status_that_they_stand_for(document: Document) -> None:
    for status, answer in document["components"]["responses"].items():
        example = answer["content"]["application/problem+json"]["example"]
        assert example["status"] == int(status)
        assert example["request_id"]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda item: item.name)
def test_example_rows_are_rows(resource: Resource) -> None:
    row_model(resource).model_validate(row_example(resource))
    input_model(resource).model_validate(insert_example(resource))
    assert explain_rows(resource, [row_example(resource), change_example(resource)]) == []


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda item: item.name)
def test_example_filters_can_be_read_and_fit_their_pattern(resource: Resource, document: Document) -> None:
    for column in resource.columns.values():
        parse_condition(resource, column.name, example_filter(column))
        name = f"{component_name(resource.name)}.{component_name(column.name)}"
        if name in document["components"]["parameters"]:
            schema = document["components"]["parameters"][name]["schema"]
            assert re.search(schema["pattern"], schema["examples"][0])


@pytest.mark.parametrize("text", ["", "day", "day.desc", "day.desc.nullslast", '"a b".asc,day.nullsfirst'])
def test_orders_that_can_be_read_fit_the_pattern(text: str, document: Document) -> None:
    if text:
        assert parse_order(odd_table(), text)
    assert re.search(document["components"]["parameters"]["order"]["schema"]["pattern"], text)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("wall clock", {"type": ["string", "null"], "format": "date-time-local"}),
        ("moment", {"type": "string", "format": "date-time"}),
        ("price", {"type": "number", "format": "decimal"}),
        ("mood", {"type": ["string", "null"], "enum": ["sad", "glad", None]}),
        ("short", {"type": ["string", "null"], "maxLength": 2}),
        ("at", {"type": ["string", "null"], "format": "time-local"}),
        ("is_on", {"type": ["boolean", "null"]}),
        ("parts", {"type": ["array", "null"]}),
        ("more", {}),
        ("id", {"type": ["string", "null"], "format": "uuid"}),
    ],
)
def test_types_are_described_as_postgresql_renders_them(column: str, expected: Document) -> None:
    assert row_schema(odd_table())["properties"][column] == expected


def test_a_row_may_be_partial_since_select_chooses(document: Document) -> None:
    assert not any("required" in schema for name, schema in document["components"]["schemas"].items() if ".row" in name)


def test_a_row_that_is_put_may_leave_its_key_to_the_url(document: Document) -> None:
    schemas = document["components"]["schemas"]
    name = component_name("odd ñame")
    assert schemas[f"{name}.insert"]["required"] == ["a b", "day", "price"]
    assert schemas[f"{name}.put"]["required"] == ["price"]


def test_without_a_database_the_control_plane_is_described_alone() -> None:
    settings = settings_from({"DATABASE_URL": "postgresql://nowhere/none"})
    document = ApiDocuments(create_app(settings), settings.api).of(Catalog(()), "/prefix")
    assert not any(re.fullmatch(r"/api/v1/[^-].*", path) for path in document["paths"])
    assert document["servers"] == [{"url": "/prefix"}]
    flows = document["components"]["securitySchemes"]["login"]["flows"]
    assert flows["password"]["tokenUrl"] == "/prefix/api/v1/-/auth/token"
