"""Resources and functions from a database that is there already, whoever made it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import asyncpg
from sqlalchemy import MetaData, PrimaryKeyConstraint, Table

from service.catalog.found_columns import Types, found_column, found_types
from service.catalog.found_functions import Attached, attached, found_functions, found_handlers
from service.catalog.function import Function
from service.catalog.handler import Handler
from service.catalog.indexed import found_indexed
from service.catalog.path_names import path_names
from service.catalog.pg_catalog import Rows, read_rows
from service.catalog.relations import Carrier, ForeignKey, Ways, relations
from service.catalog.resource import Abilities, Column, OnDelete, Resource

_ANY_ELEMENT = 2283  # PostgreSQL's pg_type.dat
_VERSIONED = ("r", "p")


@dataclass(frozen=True, slots=True)
class Found:
    """What is served of a database; the first of `schemas` is the one whose names go bare."""

    resources: tuple[Resource, ...]
    functions: tuple[Function, ...]
    schemas: tuple[str, ...]


async def read_found(connection: "asyncpg.Connection[asyncpg.Record]", schemas: Sequence[str]) -> Found:
    """Every table, view, materialised view and foreign table of the schemas, in their order, and their functions.

    The connection must not be in a transaction: one of its own is begun, and nothing of it is left.
    """
    rows = await read_rows(connection, schemas)
    types = found_types(rows.types, rows.casts)
    described = _Relations(rows, types, tuple(schemas))
    resources = {row["oid"]: described.resource(row) for row in rows.relations}
    functions = found_functions(rows.functions, types, resources, tuple(schemas))
    served = tuple(resources[row["oid"]] for row in rows.relations if row["is_served"])
    return Found(served, functions, tuple(schemas))


class _Relations:
    """The relations that are served or returned by functions, made into resources."""

    def __init__(self, rows: Rows, types: Types, schemas: tuple[str, ...]) -> None:
        self._rules = rows.rules
        self._types = types
        self._rows = {row["oid"]: row for row in rows.relations}
        self._columns: dict[int, dict[int, asyncpg.Record]] = defaultdict(dict)
        for column in rows.columns:
            self._columns[column["relation"]][column["number"]] = column
        self._unique: dict[int, list[tuple[str, list[int]]]] = defaultdict(list)
        for row in rows.unique:
            self._unique[row["relation"]].append((row["name"], row["columns"]))
        self._indexed = found_indexed(rows.indexed)
        self._primary = {row["relation"]: row["columns"] for row in rows.unique if row["is_primary"]}
        self._names = path_names(((row["schema"], row["name"]) for row in rows.relations), schemas)
        self._described = {oid: self._described_columns(row) for oid, row in self._rows.items()}
        self._tables = {oid: self._table(row) for oid, row in self._rows.items()}
        self._ways = self._all_ways(rows)
        self._handlers = found_handlers(rows.handlers, types, schemas)
        self._attached = attached(rows.functions, types, self._served_types())

    def resource(self, row: asyncpg.Record) -> Resource:
        oid = row["oid"]
        own = self._attached.get(oid, Attached())
        columns = self._described[oid]
        names = {column.name for column in columns}
        return Resource.build(
            self._name(row),
            self._tables[oid],
            columns,
            (*self._ways.get(oid, ()), *own.relations),
            _abilities(row),
            tuple(column for column in own.computed if column.name not in names),
            {name: self._named(oid, numbers) for name, numbers in self._unique.get(oid, ())},
            self._handlers_of(row),
            self._indexed.get(oid, ()),
        )

    def _handlers_of(self, row: asyncpg.Record) -> list[Handler]:
        """Those for rows of any kind, and then those for these, which come before them."""
        own = self._handlers.get(row["type"], ())
        return [
            *self._handlers.get(_ANY_ELEMENT, ()),
            *(replace(one, rows_of=(row["schema"], row["name"])) for one in own),
        ]

    def _named(self, oid: int, numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(self._columns[oid][number]["name"] for number in numbers)

    def _name(self, row: asyncpg.Record) -> str:
        return self._names[row["schema"], row["name"]]

    def _served_types(self) -> Mapping[int, tuple[int, str]]:
        """The object id and name of each served relation, by the type of its rows."""
        return {row["type"]: (oid, self._name(row)) for oid, row in self._rows.items() if row["is_served"]}

    def _table(self, row: asyncpg.Record) -> Table:
        """Each table has a metadata of its own: `a.b` may be a table of the schema `a`, or a table's whole name."""
        columns = {column.name: column.sql for column in self._described[row["oid"]]}
        present = self._columns[row["oid"]]
        key = [columns[present[number]["name"]] for number in self._key(row["oid"])]
        constraints = [PrimaryKeyConstraint(*key)] if key else []
        return Table(
            row["name"], MetaData(), *columns.values(), *constraints, schema=row["schema"], comment=row["comment"]
        )

    def _key(self, oid: int, passed: frozenset[int] = frozenset()) -> tuple[int, ...]:
        """The columns of the primary key. A view has its table's, where it shows each row once, with all of the key.

        A view may be replaced by one of itself, which no table stands behind: `passed` are the views between.
        """
        rule = self._rules.get(oid)
        if rule is None:
            return tuple(self._primary.get(oid, ()))
        if rule.rows_of is None or oid in passed:
            return ()
        shown = {origin: number for number, origin in reversed(list(rule.origins.items()))}
        key = [shown.get((rule.rows_of, number)) for number in self._key(rule.rows_of, passed | {oid})]
        return tuple(number for number in key if number is not None) if None not in key else ()

    def _described_columns(self, row: asyncpg.Record) -> tuple[Column, ...]:
        return tuple(
            found_column(column, self._types[column["type"]], self._is_writable(row, column))
            for column in self._columns[row["oid"]].values()
        )

    def _is_writable(self, row: asyncpg.Record, column: asyncpg.Record) -> bool:
        if row["is_diverted"]:
            return True
        base = self._base(row["oid"], column["number"])
        made = self._columns[base[0]].get(base[1], column) if base else column
        return bool(column["is_updatable"]) and made["generated"] == "" and made["identity"] != "a"

    def _base(self, oid: int, number: int) -> tuple[int, int] | None:
        """The table's column that a column shows, through all views between; None for what a view computes."""
        passed = set()
        while (rule := self._rules.get(oid)) is not None:
            origin = rule.origins.get(number)
            if origin is None or origin in passed:
                return None
            passed.add(origin)
            oid, number = origin
        return oid, number

    def _all_ways(self, rows: Rows) -> Ways:
        carriers: dict[int, list[Carrier]] = defaultdict(list)
        for row in rows.relations:
            for base, columns in self._shown(row["oid"]).items():
                name = self._name(row) if row["is_served"] else None
                carriers[base].append(Carrier(row["oid"], name, columns, self._tables[row["oid"]]))
        return relations(_foreign_keys(rows), carriers, self._primary)

    def _shown(self, oid: int) -> Mapping[int, Mapping[int, Sequence[str]]]:
        """The columns of tables that a relation shows, with its names for them."""
        shown: dict[int, dict[int, list[str]]] = defaultdict(dict)
        for number, column in self._columns[oid].items():
            base = self._base(oid, number)
            if base is not None:
                shown[base[0]].setdefault(base[1], []).append(column["name"])
        return shown


def _foreign_keys(rows: Rows) -> list[ForeignKey]:
    unique: dict[int, list[set[int]]] = defaultdict(list)
    for index in rows.unique:
        unique[index["relation"]].append(set(index["columns"]))
    return [
        ForeignKey(
            name=key["name"],
            source=key["source"],
            source_columns=tuple(key["source_columns"]),
            target=key["target"],
            target_columns=tuple(key["target_columns"]),
            on_delete=OnDelete(key["on_delete"]),
            is_one_to_one=any(columns <= set(key["source_columns"]) for columns in unique[key["source"]]),
        )
        for key in rows.foreign_keys
    ]


def _abilities(row: asyncpg.Record) -> Abilities:
    updatable = row["updatable"]
    return Abilities(
        can_insert=bool(updatable & 8),
        can_update=bool(updatable & 4),
        can_delete=bool(updatable & 16),
        has_version=row["kind"] in _VERSIONED,
        runs_code=row["runs_code"],
        is_partitioned=row["kind"] == "p",
    )
