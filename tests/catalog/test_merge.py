"""What is declared names what is found."""

import asyncio

import asyncpg
from sqlalchemy import Column as SqlColumn
from sqlalchemy import Integer, MetaData, Table

from service.catalog.catalog import Catalog
from service.catalog.declared import declared_catalog
from service.catalog.found import Found, read_found
from service.catalog.merge import merge
from service.catalog.resource import Column, Relation, Resource
from service.models.base import TableBase
from tests.conftest import Database


def declared(name: str, columns: tuple[str, ...], *relations: Relation) -> Resource:
    described = tuple(
        Column(column, SqlColumn(column, Integer()), "integer", True, False, True, None) for column in columns
    )
    return Resource.build(name, Table(name, MetaData(), *(column.sql for column in described)), described, relations)


def merged(found: Found, *resources: Resource) -> Catalog:
    return Catalog(merge(found, Catalog(resources)), found.functions, found.schemas)


def test_a_declared_relation_names_the_found_one(found: Found) -> None:
    leader = Relation("leader", "people", False, (("lead", "id"),), "teams_lead")
    catalog = merged(found, declared("teams", ("id", "lead"), leader), declared("people", ("id",)))
    way = catalog.relation(catalog.get("teams"), "leader", None)
    assert (way.target, way.constraint) == ("people", "teams_lead")
    assert catalog.relation(catalog.get("teams"), "people", "teams_lead") is way
    assert len(catalog.get("teams").relations) == len(Catalog(found.resources).get("teams").relations)
    assert set(catalog.get("teams").columns) == {"id", "lead", "second"}


def test_a_relation_that_no_foreign_key_keeps_is_added(found: Found) -> None:
    owner = Relation("owner", "people", False, (("a", "id"),), None)
    broken = Relation("broken", "people", False, (("missing", "id"),), None)
    catalog = merged(found, declared("keyless", ("a", "missing"), owner, broken), declared("people", ("id",)))
    assert {way.name for way in catalog.get("keyless").relations} == {"owner"}
    assert catalog.relation(catalog.get("keyless"), "people", None).name == "owner"


def test_what_is_declared_and_not_found_is_left_out(found: Found) -> None:
    catalog = merged(found, declared("unknown", ("id",)))
    assert {item.name for item in catalog} == {item.name for item in found.resources}


def test_functions_return_the_merged_tables(found: Found) -> None:
    friend = Relation("leads", "teams", True, (("id", "lead"),), "teams_lead", is_back=True)
    catalog = merged(found, declared("people", ("id",), friend), declared("teams", ("id", "lead")))
    [seniors] = catalog.functions("seniors")
    assert seniors.result is catalog.get("people")
    assert "leads" in {way.name for way in catalog.get("people").relations}


def test_the_demo_is_the_same_found_as_declared(database: Database) -> None:
    async def read() -> Found:
        connection = await asyncpg.connect(database.owner_url)
        try:
            return await read_found(connection, ("public",))
        finally:
            await connection.close()

    in_code = declared_catalog(TableBase)
    catalog = merged(asyncio.run(read()), *in_code)
    for resource in in_code:
        same = catalog.get(resource.name)
        assert same.key == resource.key
        assert set(same.columns) == set(resource.columns)
        assert [name for name, column in same.columns.items() if column.is_required] == [
            name for name, column in resource.columns.items() if column.is_required
        ]
        ways = {(way.name, way.target, way.is_many, way.pairs) for way in resource.relations}
        assert ways == {(way.name, way.target, way.is_many, way.pairs) for way in same.relations}
