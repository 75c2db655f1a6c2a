"""Functions as PostgreSQL's catalogs describe them: those that are called, and those that belong to rows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import asyncpg
from sqlalchemy import MetaData, Table

from service.catalog.found_columns import Types, output_column
from service.catalog.function import Function, Parameter, Volatility
from service.catalog.handler import Handler, media_type_of
from service.catalog.path_names import path_names
from service.catalog.resource import Abilities, Column, Relation, Resource

_VOLATILITY: Mapping[str, Volatility] = {
    "i": Volatility.IMMUTABLE,
    "s": Volatility.STABLE,
    "v": Volatility.VOLATILE,
}
_IN, _OUT, _VARIADIC = "ibv", "bot", "v"
_READ_ONLY = Abilities(can_insert=False, can_update=False, can_delete=False, has_version=False)


@dataclass(frozen=True, slots=True)
class _Argument:
    """`mode`: i(n), o(ut), b(oth), v(ariadic), t(able)."""

    name: str
    type: int
    mode: str


@dataclass(slots=True)
class Attached:
    """What functions add to the rows of a relation: values read like columns, and ways to other rows."""

    computed: list[Column] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)


def attached(
    functions: Iterable[asyncpg.Record], types: Types, served: Mapping[int, tuple[int, str]]
) -> Mapping[int, Attached]:
    """By object id of the relation. `served`: the object id and name of relations by the type of their rows."""
    found: dict[int, Attached] = defaultdict(Attached)
    for row in functions:
        arguments = _arguments(row)
        if len(arguments) != 1 or arguments[0].mode != "i" or arguments[0].type not in served:
            continue
        own = found[served[arguments[0].type][0]]
        function = (row["schema"], row["name"])
        if row["result"] in served:
            is_many = row["is_set"] and row["rows"] != 1
            target = served[row["result"]][1]
            own.relations.append(Relation(row["name"], target, is_many, (), None, function=function))
        elif not row["is_set"] and not row["relation"] and types[row["result"]].name not in ("void", "record"):
            column = output_column(row["name"], types[row["result"]], row["comment"])
            own.computed.append(replace(column, function=function))
    return found


def found_handlers(rows: Sequence[asyncpg.Record], types: Types, schemas: Sequence[str]) -> Mapping[int, list[Handler]]:
    """The aggregates that render rows in a media type, by the type of these rows."""
    names = path_names(((row["schema"], row["name"]) for row in rows), schemas)
    found: dict[int, list[Handler]] = defaultdict(list)
    for row in rows:
        function, result = (row["schema"], row["name"]), types[row["result"]]
        if media_type := media_type_of(result.name):
            found[row["argument"]].append(Handler(media_type, names[function], function, result.base))
    return found


def found_functions(
    functions: Sequence[asyncpg.Record], types: Types, resources: Mapping[int, Resource], schemas: Sequence[str]
) -> tuple[Function, ...]:
    """Every function, one for each overload. `resources` are by object id, with those of composite types."""
    names = path_names(((row["schema"], row["name"]) for row in functions), schemas)
    return tuple(
        Function(
            name=names[row["schema"], row["name"]],
            schema=row["schema"],
            sql_name=row["name"],
            parameters=_parameters(row, types),
            result=_result(row, names[row["schema"], row["name"]], types, resources),
            result_type=types[row["result"]].name,
            base_type=types[row["result"]].base,
            is_set=row["is_set"],
            volatility=_VOLATILITY[row["volatility"]],
            comment=row["comment"],
        )
        for row in functions
    )


def _arguments(row: asyncpg.Record) -> list[_Argument]:
    count = len(row["types"])
    names, modes = row["names"] or [""] * count, row["modes"] or ["i"] * count
    return [_Argument(*argument) for argument in zip(names, row["types"], modes, strict=True)]


def _parameters(row: asyncpg.Record, types: Types) -> tuple[Parameter, ...]:
    """What a caller gives. The last of them have the defaults."""
    given = [argument for argument in _arguments(row) if argument.mode in _IN]
    required = len(given) - row["defaults"]
    return tuple(
        Parameter(argument.name, types[argument.type].name, position < required, argument.mode == _VARIADIC)
        for position, argument in enumerate(given)
    )


def _result(row: asyncpg.Record, name: str, types: Types, resources: Mapping[int, Resource]) -> Resource | None:
    outputs = [argument for argument in _arguments(row) if argument.mode in _OUT]
    if not outputs:
        return resources.get(row["relation"])
    columns = tuple(
        output_column(output.name or f"column{position}", types[output.type])
        for position, output in enumerate(outputs, start=1)
    )
    table = Table(row["name"], MetaData(), *(column.sql for column in columns), schema=row["schema"])
    return Resource.build(name, table, columns, (), _READ_ONLY)
