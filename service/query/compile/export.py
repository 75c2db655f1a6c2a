"""Read plans to what COPY runs.

COPY takes no parameters (PostgreSQL manual, COPY). The values are bound before, to settings of the transaction, and
read where a parameter would stand: `current_setting('rowhouse.b0')`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Text

from service.catalog.result_column import ResultColumn
from service.catalog.sql_type import SqlType
from service.query.compile.columns import quoted
from service.query.compile.projection import Projector
from service.query.compile.statement import WHOLE, Parameters, Statement, finish
from service.query.plan import Bind, BindKind, ReadPlan
from service.query.walk import binds

_EPOCH = "rowhouse.epoch"
_ROW = quoted(f"{WHOLE}row")
# JSON never holds these as they are (RFC 8259, section 7), so nothing in it is ever quoted or escaped.
_QUOTE, _DELIMITER = "\x01", "\x02"
_WITHOUT_LINE_BREAKS = r"replace(replace({}, e'\n', ' '), e'\r', ' ')"
_SHAPES = {BindKind.TEXT: "text", BindKind.LIST: "text[]", BindKind.JSON: "json"}
_BEGINS_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_FORMULA, _GUARDED = r"e'^[-=+@\t\r]'", r"e'\'\\&'"
# They may begin with a sign, and are numbers or times to a spreadsheet.
_NEVER_FORMULAS = frozenset(
    "bool int2 int4 int8 float4 float8 numeric oid uuid date time timetz timestamp timestamptz".split()
)
# As ISO 8601 has it: of what lies before our era or at infinity, as PostgreSQL writes it.
_TIME = (
    "case when {0} >= '0001-01-01' and {0} < 'infinity' "
    "then pg_catalog.replace(({1})::text, ' ', 'T'){2} else {0}::text end"
)


class SettingParameters(Parameters):
    """Reads the bound values of one plan from settings of the transaction."""

    def __getitem__(self, bind: Bind) -> ColumnElement[Any]:
        value = sa.literal_column(f"pg_catalog.current_setting('{_setting(self.number(bind))}')", Text)
        return value if bind.kind is BindKind.TEXT else sa.cast(value, SqlType(_SHAPES[bind.kind]))

    @staticmethod
    def epoch() -> ColumnElement[str]:
        return sa.literal_column(f"pg_catalog.current_setting('{_EPOCH}')", Text)


def _setting(number: int) -> str:
    return f"rowhouse.b{number}"


def compile_flat(plan: ReadPlan) -> Statement:
    """The rows with a column for each member, in the order of their names in the answer."""
    projector = Projector(SettingParameters(plan))
    return finish(projector.flat(plan, projector.rows(plan)))


def bind_settings(plan: ReadPlan, epoch: str) -> tuple[str, list[object]]:
    """A statement that sets a plan's values for the length of the transaction, and its arguments."""
    found = binds(plan)
    calls = [f"set_config('{_setting(n)}', ${n + 1}::{_SHAPES[one.kind]}::text, true)" for n, one in enumerate(found)]
    calls.append(f"set_config('{_EPOCH}', ${len(found) + 1}::text, true)")
    return f"select {', '.join(calls)}", [*(one.value for one in found), epoch]


_DESCRIBE = """
with recursive types (place, oid, modifier) as (
    select place, oid, -1 from unnest(
        (select array[{types}]::oid[] from (select) one left join (select * from ({sql}) f limit 0) {row} on true)
    ) with ordinality as u (oid, place)
    union all
    select place, t.typbasetype, t.typtypmod from types join pg_catalog.pg_type t using (oid) where t.typtype = 'd'
)
select coalesce(e.typname, t.typname)::text, coalesce(e.typtype, t.typtype)::text, e.oid is not null,
       array(select enumlabel::text from pg_catalog.pg_enum where enumtypid = t.oid order by enumsortorder),
       case when t.typname = 'numeric' and types.modifier > 0 then types.modifier - 4 end
from types
join pg_catalog.pg_type t using (oid) left join pg_catalog.pg_type e on e.oid = t.typelem and e.typarray = t.oid
where t.typtype <> 'd' order by types.place
"""


def describe(sql: str, names: Sequence[str]) -> str:
    """What tells of each column of a statement: type, kind, whether it is an array, labels of an enum, and the
    modifier of a numeric.
    """
    types = ", ".join(f"pg_catalog.pg_typeof({_ROW}.{quoted(name)})" for name in names)
    return _DESCRIBE.format(types=types, sql=sql, row=_ROW)


@dataclass(frozen=True, slots=True)
class Copied:
    """A query for COPY, and how it is written: the options of COPY."""

    sql: str
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def as_csv(sql: str, columns: Sequence[ResultColumn]) -> Copied:
    """RFC 4180 with a line of names; `true` and `false`, ISO 8601, nothing for NULL, and `""` for an empty text."""
    return Copied(_of(sql, columns, _csv_value), {"format": "csv", "header": True})


def as_sheet(sql: str, columns: Sequence[ResultColumn]) -> Copied:
    """The same, for spreadsheets: an apostrophe before each text, and each name, that would begin a formula there
    (OWASP, CSV injection).
    """
    names = (f"{_ROW}.{quoted(column.name)}" for column in columns)
    written = (
        f"{_sheet_value(column, name)} as {quoted(_guarded_name(column.name))}"
        for column, name in zip(columns, names, strict=True)
    )
    query = f"select {', '.join(written)} from ({sql}) {_ROW}"  # noqa: S608 (names of the catalog, quoted)
    return Copied(query, {"format": "csv", "header": True})


def as_lines(sql: str, columns: Sequence[ResultColumn]) -> Copied:
    """An object of JSON a line."""
    row = f"row_to_json({_ROW})::text"
    if not all(column.is_plain for column in columns):
        row = _WITHOUT_LINE_BREAKS.format(row)
    query = f"select {row} from ({sql}) {_ROW}"  # noqa: S608 (no values, and a name of ours)
    return Copied(query, {"format": "csv", "quote": _QUOTE, "delimiter": _DELIMITER})


def as_json_values(sql: str, columns: Sequence[ResultColumn]) -> Copied:
    """A line a row, of its values as JSON."""
    options = {"format": "csv", "quote": _QUOTE, "delimiter": _DELIMITER, "null": "null"}
    return Copied(_of(sql, columns, _json_value), options)


def as_texts(sql: str, columns: Sequence[ResultColumn]) -> Copied:
    """CSV without a line of names, for what makes types of Arrow of it."""
    return Copied(_of(sql, columns, _arrow_text), {"format": "csv"})


def probe(sql: str, columns: Sequence[ResultColumn]) -> str:
    """What tells, of each of these columns, what its values have in common that its type does not tell.

    Of a numeric: the most digits before the point and behind it; NULL for both where one is infinite or none. Of an
    array: the fewest and the most dimensions.
    """
    asked = (expression for column in columns for expression in _probed(column))
    return f"select {', '.join(asked)} from ({sql}) {_ROW}"  # noqa: S608 (names of the catalog, quoted)


def _probed(column: ResultColumn) -> tuple[str, str]:
    value = f"{_ROW}.{quoted(column.name)}"
    if column.is_array:
        return f"min(array_ndims({value}))", f"max(array_ndims({value}))"
    is_finite = f"bool_and(scale({value}) is not null or {value} is null)"
    whole, behind = f"max(length(trunc(abs({value}))::text))", f"max(scale({value}))"
    return (
        f"case when {is_finite} then coalesce({whole}, 1) end",
        f"case when {is_finite} then coalesce({behind}, 0) end",
    )


def _of(sql: str, columns: Sequence[ResultColumn], write: Callable[[ResultColumn, str], str]) -> str:
    names = [quoted(column.name) for column in columns]
    written = (f"{write(column, f'{_ROW}.{name}')} as {name}" for column, name in zip(columns, names, strict=True))
    return f"select {', '.join(written)} from ({sql}) {_ROW}"  # noqa: S608 (names of the catalog, quoted)


def _sheet_value(column: ResultColumn, value: str) -> str:
    text = _csv_value(column, value)
    if column.kind == "b" and not column.is_array and column.type in _NEVER_FORMULAS:
        return text
    return f"pg_catalog.regexp_replace(({text})::text, {_FORMULA}, {_GUARDED})"


def _guarded_name(name: str) -> str:
    return f"'{name}" if name[:1] in _BEGINS_FORMULAS else name


def _csv_value(column: ResultColumn, value: str) -> str:
    if column.kind == "p":
        return f"to_json({value})::text"
    if column.is_array:
        return value
    match column.type:
        case "bool":
            return f"{value}::text"
        case "timestamptz":
            return _TIME.format(value, f"{value} at time zone 'UTC'", " || 'Z'")
        case "timestamp":
            return _TIME.format(value, value, "")
    return value


def _arrow_text(column: ResultColumn, value: str) -> str:
    if column.is_array and column.dimensions is not None:
        return f"to_json({value}::text[])"
    return f"to_json({value})" if column.is_array or column.kind in ("c", "p") else value


def _json_value(column: ResultColumn, value: str) -> str:
    text = f"to_json({value})::text"
    return text if column.is_plain else _WITHOUT_LINE_BREAKS.format(text)
