"""Asks PostgreSQL which columns a statement returns."""

import re
from dataclasses import replace

from service.catalog.result_column import ResultColumn
from service.db.copy import CopyTransaction
from service.query.compile.export import describe, probe
from service.query.plan import AllColumns, ColumnRef, ReadPlan, Selected
from service.query.walk import output_names

# The scale of a numeric, in what PostgreSQL calls its modifier; from 1,024 on it is a negative one.
_SCALE = 2**11
# Where the type says nothing, as many digits as all tools read: files of several days go together.
_WIDE = 38
_NUMERIC = re.compile(r"(?:numeric|decimal) ?\((\d+)(?:, ?(-?\d+))?\)(?:\[\])*")


async def result_columns(transaction: CopyTransaction, sql: str, plan: ReadPlan) -> list[ResultColumn]:
    """The columns of the rows of a plan."""
    names = output_names(plan)
    if not names:
        return []
    found = await transaction.rows(describe(sql, names))
    columns = [
        _numeric(ResultColumn(name, row[0], row[1], row[2], tuple(row[3])), row[4])
        for name, row in zip(names, found, strict=True)
    ]
    declared = _declared(plan)
    return [
        replace(column, precision=declared[column.name][0], scale=declared[column.name][1])
        if column.type == "numeric" and column.name in declared
        else column
        for column in columns
    ]


async def probed(transaction: CopyTransaction, sql: str, columns: list[ResultColumn]) -> list[ResultColumn]:
    """The columns, with what their types do not tell and their values do: the digits of numerics, and the dimensions
    of arrays. The values are those of the transaction's snapshot.
    """
    asked = [column for column in columns if _is_vague(column)]
    if not asked:
        return columns
    found = (await transaction.rows(probe(sql, asked)))[0]
    known = {column.name: _with(column, found[2 * place], found[2 * place + 1]) for place, column in enumerate(asked)}
    return [known.get(column.name, column) for column in columns]


def _is_vague(column: ResultColumn) -> bool:
    if column.is_array:
        return column.kind != "p"
    return column.type == "numeric" and column.precision is None


def _with(column: ResultColumn, first: int | None, second: int | None) -> ResultColumn:
    if column.is_array:
        least, most = first or 1, second or 1
        return replace(column, dimensions=least if least == most else None)
    if first is None or second is None:
        return column
    return replace(column, precision=max(first + second, _WIDE), scale=second)


def _numeric(column: ResultColumn, modifier: int | None) -> ResultColumn:
    if modifier is None:
        return column
    scale = modifier % _SCALE
    return replace(column, precision=modifier >> 16, scale=scale - _SCALE if scale >= _SCALE // 2 else scale)


def _declared(plan: ReadPlan) -> dict[str, tuple[int, int]]:
    """Precision and scale of the numerics whose type says so, by their names in the answer."""
    types: dict[str, str] = {}
    for item in plan.select:
        if isinstance(item, AllColumns):
            types |= {name: column.sql_type for name, column in plan.resource.columns.items()}
        elif isinstance(item, Selected) and isinstance(item.column, ColumnRef):
            column = plan.resource.columns.get(item.column.name)
            own = column.sql_type if column is not None and not item.column.path else ""
            types[item.alias] = item.column.cast or own
    matches = ((name, _NUMERIC.fullmatch(kind)) for name, kind in types.items())
    return {name: (int(match[1]), int(match[2] or 0)) for name, match in matches if match is not None}
