"""The OpenAPI document: of the declared tables, of one with odd names, of hundreds, and of an awkward database."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from jsonschema_rs import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31
from sqlalchemy.dialects.postgresql import dialect as postgresql
from sqlalchemy.types import TypeEngine

from service.api.openapi import ApiDocuments, Described, build_document, control_plane
from service.api.table_parameters import component_name, example_filter
from service.application import create_app
from service.catalog.catalog import Catalog
from service.catalog.declared import declared_catalog
from service.catalog.found import read_found
from service.catalog.resource import Column, ColumnRights, Relation, Resource
from service.core.settings import Settings
from service.core.types import Action
from service.db.embedded import EmbeddedPostgres
from service.models import TableBase
from service.query.parse.condition import parse_condition
from service.query.parse.order import parse_order
from service.schemas.document import row_schema
from service.schemas.examples import change_example, example_value, row_example
from service.schemas.fields import explain_rows, explain_values
from service.schemas.table_schema import table_schema
from tests.awkward_database import SCHEMAS, awkward_database
from tests.service_under_test import settings_from

Document = dict[str, Any]
May = Callable[[Resource, Action], bool]
Tables = list[str] | None
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
            sql_type=column.type.compile(postgresql()).lower(),  # type: ignore[no-untyped-call]
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


SETTINGS = settings_from({"DATABASE_URL": "postgresql://nowhere/none", "LOG_LEVEL": "WARNING"})
OPEN = {"API_AGGREGATES": "true", "API_TX_OVERRIDE": "true", "API_UNFILTERED_WRITES": "allow"}
ALL_OPEN = settings_from({"DATABASE_URL": "postgresql://nowhere/none", "LOG_LEVEL": "WARNING", **OPEN})


def describe(
    catalog: Catalog, *, settings: Settings = SETTINGS, may: May = lambda table, action: True, tables: Tables = None
) -> Document:
    described = Described.of(catalog, may, tables)
    return build_document(control_plane(create_app(settings)), described, settings.api)


def many_tables(count: int) -> Catalog:
    """Tables of ten columns of the usual types, each with a foreign key."""
    kinds: list[tuple[str, TypeEngine[Any], str]] = [
        ("id", sa.BigInteger(), "bigint"),
        ("name", sa.Text(), "text"),
        ("kind", sa.Text(), "character varying(20)"),
        ("at", sa.DateTime(timezone=True), "timestamp with time zone"),
        ("day", sa.Date(), "date"),
        ("price", sa.Numeric(), "numeric(10,2)"),
        ("amount", sa.Integer(), "integer"),
        ("is_on", sa.Boolean(), "boolean"),
        ("notes", sa.JSON(), "jsonb"),
        ("ratio", sa.Double(), "double precision"),
    ]
    resources = []
    for number in range(count):
        name = f"table_{number:03}"
        table = sa.Table(name, sa.MetaData(), *(sa.Column(at, of, primary_key=at == "id") for at, of, _ in kinds))
        columns = tuple(
            Column(at, table.columns[at], kind, at != "id", at == "id", True, f"What {at} is", kind.partition("(")[0])
            for at, _, kind in kinds
        )
        way = Relation("next", f"table_{(number + 1) % count:03}", False, (("amount", "id"),), "next")
        resources.append(Resource.build(name, table, columns, (way,)))
    return Catalog(resources)


@pytest.fixture(scope="module")
def document() -> Document:
    return describe(Catalog(RESOURCES))


@pytest.fixture(scope="module")
def awkward_catalog(postgres: EmbeddedPostgres, worker_id: str, shared_folder: Path) -> Iterator[Catalog]:
    with awkward_database(postgres, f"openapi_{worker_id}", shared_folder) as database:
        yield asyncio.run(_read(database.superuser_url))


async def _read(url: str) -> Catalog:
    connection = await asyncpg.connect(url)
    try:
        found = await read_found(connection, SCHEMAS)
    finally:
        await connection.close()
    return Catalog(found.resources, found.functions, found.schemas)


@pytest.fixture(scope="module")
def awkward(awkward_catalog: Catalog) -> Document:
    return describe(awkward_catalog, settings=ALL_OPEN)


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
    answers = document["components"]["responses"]
    for status, answer in ((name, answers[name]) for name in answers if name.isdigit()):
        example = answer["content"]["application/problem+json"]["example"]
        assert example["status"] == int(status)
        assert example["request_id"]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda item: item.name)
def test_example_rows_are_rows(resource: Resource, document: Document) -> None:
    for kind in ("row", "insert", "change", *(["put"] if resource.key else [])):
        name = f"{component_name(resource.name)}.{kind}"
        components = json.loads(json.dumps(document["components"]))
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        for example in components["schemas"][name]["examples"]:
            assert list(Draft202012Validator(schema).iter_errors(example)) == []
    assert explain_rows(resource, [row_example(resource), change_example(resource)]) == []


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda item: item.name)
def test_example_filters_can_be_read_and_fit_their_pattern(resource: Resource, document: Document) -> None:
    for column in resource.columns.values():
        parse_condition(resource, column.name, example_filter(column))
        schema = filter_schema(document, resource.name, column.name)
        assert re.search(schema["pattern"], schema["examples"][0])


def filter_schema(document: Document, table: str, column: str) -> Document:
    parameter = document["components"]["parameters"][f"{component_name(table)}.{component_name(column)}"]
    found: Document = document["components"]["schemas"][parameter["schema"]["$ref"].rpartition("/")[2]]
    return found


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("select", "eq(any).{1,2}"),
        ("select", "not.in.(1,-2)"),
        ("select", "isdistinct.5"),
        ("short", "like(all).{a*,*b}"),
        ("short", "not.fts(english).word"),
        ("parts", "cs.{1}"),
        ("more", "ov.{1}"),
        ("is_on", "is.unknown"),
    ],
)
def test_filters_that_can_be_read_fit_the_pattern(column: str, text: str, document: Document) -> None:
    parse_condition(odd_table(), column, text)
    assert re.search(filter_schema(document, "odd ñame", column)["pattern"], text)


@pytest.mark.parametrize("text", ["", "day", "day.desc", "day.desc.nullslast", '"a b".asc,day.nullsfirst'])
def test_orders_that_can_be_read_fit_the_pattern(text: str, document: Document) -> None:
    if text:
        assert parse_order(odd_table(), text)
    assert re.search(document["components"]["parameters"]["order"]["schema"]["pattern"], text)


INTEGERS = {"format": "int32", "maximum": 2**31 - 1, "minimum": -(2**31), "type": ["integer", "array", "null"]}


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
        ("parts", {"type": ["array", "null"], "items": INTEGERS}),
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
    document = json.loads(ApiDocuments(create_app(SETTINGS), SETTINGS.api).of(Described(), "/prefix"))
    assert not any(re.fullmatch(r"/api/v1/[^-].*", path) for path in document["paths"])
    assert document["servers"] == [{"url": "/prefix"}]
    flows = document["components"]["securitySchemes"]["login"]["flows"]
    assert flows["password"]["tokenUrl"] == "/prefix/api/v1/-/auth/token"


def test_documents_are_valid(document: Document, awkward: Document) -> None:
    validator = Draft202012Validator(OPENAPI_31)
    for described in (document, awkward, describe(Catalog(())), describe(many_tables(400))):
        sent = json.loads(json.dumps(described))
        assert [str(error) for error in validator.iter_errors(sent)] == []
        assert all(lookup(sent, reference) is not None for reference in set(references(sent)))


def test_schemas_of_awkward_types_are_valid(awkward: Document) -> None:
    for schema in awkward["components"]["schemas"].values():
        Draft202012Validator(json.loads(json.dumps({**schema, "components": awkward["components"]})))


def lookup(document: Document, reference: str) -> object:
    target: Any = document
    for step in reference.removeprefix("#/").split("/"):
        target = target[step]
    return target


def test_four_hundred_tables_make_a_document_that_can_be_used() -> None:
    """In time and size; those of one table are small."""
    documents, catalog = ApiDocuments(create_app(SETTINGS), SETTINGS.api), many_tables(400)
    begin = time.perf_counter()
    whole = documents.of(Described.of(catalog, lambda table, action: True), "")
    took = time.perf_counter() - begin
    one = documents.of(Described.of(catalog, lambda table, action: True, ["table_007"]), "")
    assert len(whole) < 9_000_000
    assert took < 10
    assert len(one) < len(whole) / 60  # what is there once, and one table
    assert {"/api/v1/table_007", "/api/v1/table_007/{key}"} < json.loads(one)["paths"].keys()
    assert "/api/v1/table_008" not in json.loads(one)["paths"]
    assert len(json.loads(one)["x-tables"]) == 400


def test_the_feed_is_described_once_however_many_tables_there_are() -> None:
    feeds = [describe(many_tables(count))["paths"] for count in (1, 40)]
    assert [[path for path in paths if path.endswith("/-/changes")] for paths in feeds] == [
        ["/api/v1/{table}/-/changes", "/api/v1/-/changes"]
    ] * 2
    one, many = ([paths[path] for path in paths if path.endswith("/-/changes")] for paths in feeds)
    assert one == many


def test_examples_of_the_feed_are_as_described(document: Document) -> None:
    answer = document["components"]["responses"]["Feed"]["content"]
    schema = json.loads(json.dumps({"$ref": "#/components/schemas/FeedPage", "components": document["components"]}))
    assert list(Draft202012Validator(schema).iter_errors(answer["application/json"]["example"])) == []
    told = [
        line.removeprefix("data: ") for line in answer["text/event-stream"]["example"].splitlines() if "data:" in line
    ]
    assert [json.loads(line)["type"] for line in told] == ["ready", "insert"]


def test_a_table_that_is_not_there_adds_nothing(awkward_catalog: Catalog) -> None:
    document = describe(awkward_catalog, tables=["nobody"])
    assert not any(re.fullmatch(r"/api/v1/[^-].*", path) for path in document["paths"])
    assert "people" in document["x-tables"]
    assert "rpc/plain" in document["x-tables"]


def test_an_operation_is_there_for_what_is_granted() -> None:
    granted = {Action.READ, Action.UPDATE}
    document = describe(many_tables(1), may=lambda table, action: action in granted)
    assert METHODS & document["paths"]["/api/v1/table_000"].keys() == {"get", "patch"}
    assert METHODS & document["paths"]["/api/v1/table_000/{key}"].keys() == {"get", "patch"}
    (tag,) = (tag for tag in document["tags"] if tag["name"] == "table_000")
    assert "Your role may not insert or delete its rows." in tag["description"]


def test_an_operation_is_there_for_what_postgresql_can_do(awkward: Document) -> None:
    paths, tags = awkward["paths"], {tag["name"]: tag["description"] for tag in awkward["tags"]}
    assert METHODS & paths["/api/v1/counts"].keys() == {"get"}
    assert "/api/v1/counts/{key}" not in paths
    assert "PostgreSQL cannot insert, change or delete its rows" in tags["counts"]
    assert "It has no key" in tags["counts"]
    assert METHODS & paths["/api/v1/written"].keys() == {"get", "post", "patch", "delete"}
    assert METHODS & paths["/api/v1/snapshot"].keys() == {"get"}
    assert {"get", "patch"} <= paths["/api/v1/staff/{key}"].keys()


def test_functions_have_one_path_a_name(awkward: Document) -> None:
    paths, schemas = awkward["paths"], awkward["components"]["schemas"]
    assert METHODS & paths["/api/v1/rpc/plain"].keys() == {"get", "post"}
    assert METHODS & paths["/api/v1/rpc/no_answer"].keys() == {"post"}
    assert "204" in paths["/api/v1/rpc/no_answer"]["post"]["responses"]
    body = paths["/api/v1/rpc/over"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert [schemas[item["$ref"].rpartition("/")[2]]["properties"]["a"]["type"] for item in body["oneOf"]] == [
        ["integer", "null"],
        ["string", "null"],
    ]
    assert schemas["plain.call0"]["required"] == ["a"]
    assert schemas["plain.call0"]["properties"]["rest"]["type"] == ["array", "null"]
    whole = paths["/api/v1/rpc/body"]["post"]["requestBody"]["content"]
    assert whole["application/json"]["schema"] == {}
    assert "get" not in paths["/api/v1/rpc/body"]
    assert schemas["pairs.result0"]["properties"].keys() == {"number", "the word"}
    assert "/api/v1/rpc/write_nothing" not in paths
    assert "/api/v1/rpc/awkward_two.plain" in paths


def test_functions_that_are_not_granted_are_not_described(awkward_catalog: Catalog) -> None:
    document = describe(awkward_catalog.only({"people": ColumnRights()}, {"over"}))
    assert [path for path in document["paths"] if "/rpc/" in path] == ["/api/v1/rpc/over"]


def test_the_settings_decide_what_the_language_has(document: Document, awkward: Document) -> None:
    closed, opened = document["components"]["parameters"], awkward["components"]["parameters"]
    assert "having" not in closed
    assert "sum()" not in closed["select"]["description"]
    assert "sum()" in opened["select"]["description"]
    assert "having" in opened
    assert "tx=rollback" not in closed["PreferWrite"]["description"]
    assert "tx=rollback" in opened["PreferWrite"]["description"]
    assert "Accept-Profile" not in closed
    assert opened["Accept-Profile"]["schema"]["enum"] == ["awkward", "awkward_two"]


@pytest.mark.parametrize(
    ("column", "json_type", "form"),
    [
        ("id", "integer", "int32"),
        ("mood", "string", None),
        ("moods", "array", None),
        ("rank", "integer", "int32"),
        ("word", "string", None),
        ("colour", "any", None),
        ("days", "string", "datemultirange"),
        ("took", "string", "interval"),
        ("bytes", "string", "bytea"),
        ("words", "string", "tsvector"),
        ("tree", "string", "xml"),
        ("uid", "string", "uuid"),
        ("net", "string", "cidr"),
        ("price", "number", "decimal"),
        ("flags", "string", "bit varying"),
        ("notes", "any", None),
        ("grid", "array", None),
    ],
)
def test_programs_are_told_the_types_of_columns(
    column: str, json_type: str, form: str | None, awkward_catalog: Catalog
) -> None:
    (found,) = (item for item in table_schema(awkward_catalog.get("kinds"))["columns"] if item["name"] == column)
    assert (found["json_type"], found["format"]) == (json_type, form)


def test_programs_are_told_what_a_table_is(awkward_catalog: Catalog) -> None:
    kinds, people = table_schema(awkward_catalog.get("kinds")), table_schema(awkward_catalog.get("people"))
    columns = {column["name"]: column for column in kinds["columns"]}
    assert kinds["key"] == ["id"]
    assert kinds["comment"] == "One of each type"
    assert columns["mood"]["values"] == ["glad", "so-so", "it's sad"]
    assert columns["price"] | {"format": None, "values": None} == {
        "name": "price",
        "type": "numeric(10,2)",
        "json_type": "number",
        "format": None,
        "nullable": False,
        "has_default": False,
        "writable": True,
        "comment": 'In whole crowns; "net"',
        "values": None,
    }
    assert not columns["doubled"]["writable"]
    assert {
        "name": "people_boss",
        "target": "people",
        "cardinality": "many-to-one",
        "columns": [["boss", "id"]],
    } in [way | {"name": "people_boss"} for way in people["relations"] if way["columns"] == [["boss", "id"]]]
    assert "initial" in [column["name"] for column in people["computed"]]
    assert json.loads(json.dumps(people)) == people


def test_any_value_of_any_type_is_explained_or_passed_over(awkward_catalog: Catalog) -> None:
    values: list[object] = [None, True, 1, 1.5, 10**400, "", "x", "\x00", "{1}", [], [1, "x"], {"a": 1}, float("nan")]
    for resource in awkward_catalog:
        for column in resource.columns.values():
            assert explain_rows(resource, [{column.name: example_value(column)}]) == []
            explain_rows(resource, [{column.name: value} for value in values])
            explain_values(resource, [(column.name, str(value)) for value in values])


def test_too_long_a_text_is_explained_by_its_column(awkward_catalog: Catalog) -> None:
    kinds = awkward_catalog.get("kinds")
    assert [item.field for item in explain_rows(kinds, [{"code": "four", "word": 5}])] == ["code"]
