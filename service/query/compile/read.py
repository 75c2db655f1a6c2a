"""Read plans to statements."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Select, Subquery, Text

from service.catalog.handler import Handler
from service.catalog.sql_type import SqlType
from service.query.compile.columns import function, qualified
from service.query.compile.projection import EMPTY_ARRAY, Projector
from service.query.compile.statement import WHOLE, Parameters, Statement, finish
from service.query.plan import Count, ReadPlan

_MOST_HANDLERS = 256
# What a function has set of the answer. These stand beside aggregates of all that it returns, and so are read last.
SAID: tuple[ColumnElement[Any], ...] = tuple(
    sa.literal_column(f"nullif(current_setting('response.{name}', true), '')", Text) for name in ("status", "headers")
)
# A subquery of records `r` to the whole body.
Rendering = Callable[[Subquery], ColumnElement[Any]]


_FEATURE = '"type": "Feature", "geometry": '
_WITHOUT_GEOMETRY = sa.literal_column(f"'^\\{{{_FEATURE}\\{{\"type\": null\\}}'", Text)
_NULL_GEOMETRY = sa.literal_column(f"'{{{_FEATURE}null'", Text)


def as_array(page: Subquery) -> ColumnElement[Any]:
    return sa.func.coalesce(sa.func.json_agg(page.c.r), EMPTY_ARRAY)


def as_stripped_array(page: Subquery) -> ColumnElement[Any]:
    """Without the members that are null."""
    return sa.func.coalesce(sa.func.json_strip_nulls(sa.func.json_agg(page.c.r)), EMPTY_ARRAY)


def as_csv(page: Subquery) -> ColumnElement[Any]:
    """Lines as PostgreSQL writes a row, without its parentheses. The names of the columns are not among them."""
    text = sa.cast(page.c.r, Text)
    line = sa.func.substr(text, sa.literal_column("2"), sa.func.length(text) - sa.literal_column("2"))
    lines = sa.func.string_agg(line, sa.literal_column("E'\\n'"))
    return sa.func.coalesce(lines, sa.literal_column("''"))


def as_features(page: Subquery) -> ColumnElement[Any]:
    """GeoJSON (RFC 7946), by PostGIS, which before 3.4 writes an empty object where there is no geometry."""
    text = sa.func.regexp_replace(sa.func.ST_AsGeoJSON(page.c.r), _WITHOUT_GEOMETRY, _NULL_GEOMETRY)
    features = sa.func.coalesce(sa.func.json_agg(sa.cast(text, sa.JSON)), EMPTY_ARRAY)
    names: list[ColumnElement[str]] = [
        sa.literal_column(text, Text) for text in ("'type'", "'FeatureCollection'", "'features'")
    ]
    return sa.func.json_build_object(*names, features)


def compile_item(plan: ReadPlan) -> Statement:
    """One row: its JSON, and its version as text. No row where nothing matches."""
    projector = Projector(Parameters(plan))
    rows = projector.rows(plan)
    found = projector.records(plan, rows, rows.columns.version().label("version")).limit(sa.literal_column("1"))
    page = found.subquery("p")
    return finish(sa.select(sa.func.row_to_json(page.c.r), page.c.version))


def compile_list(plan: ReadPlan) -> Statement:
    """One row: a JSON array, how many are in it, the sort values of the last one as JSON, and the count or NULL."""
    return _compile(plan, as_array)


def compile_stripped(plan: ReadPlan) -> Statement:
    return _compile(plan, as_stripped_array)


def compile_features(plan: ReadPlan) -> Statement:
    return _compile(plan, as_features)


def compile_rows(plan: ReadPlan) -> Statement:
    """A row of JSON for each row."""
    projector = Projector(Parameters(plan))
    page = projector.records(plan, projector.rows(plan)).subquery("p")
    return finish(sa.select(sa.func.row_to_json(page.c.r)))


def compile_count(plan: ReadPlan) -> Statement:
    """The rows to be counted, for the planner to estimate."""
    return finish(Projector(Parameters(plan)).counted(plan))


def compile_bounded_count(plan: ReadPlan) -> Statement:
    """How many rows there are, up to the plan's limit."""
    projector = Projector(Parameters(plan))
    assert plan.limit is not None
    counted = projector.counted(plan).limit(projector.bigint(plan.limit)).subquery("c")
    return finish(sa.select(sa.func.count()).select_from(counted))


def _compile(plan: ReadPlan, render: Rendering) -> Statement:
    projector = Projector(Parameters(plan))
    return finish(page_of(plan, projector, None, render))


@lru_cache(_MOST_HANDLERS)
def compile_handled(handler: Handler) -> Callable[[ReadPlan], Statement]:
    """What compiles a page in the media type of a handler. The status and headers that it has set stand behind."""

    def compile_plan(plan: ReadPlan) -> Statement:
        page = page_of(plan, Projector(Parameters(plan)), None, rendered_by(handler), row_type_of(handler))
        return finish(page.add_columns(*SAID))

    return compile_plan


def rendered_by(handler: Handler) -> Rendering:
    kind = SqlType("bytea" if handler.is_binary else "text")

    def render(page: Subquery) -> ColumnElement[Any]:
        return sa.func.coalesce(sa.cast(function(handler.function)(page.c.r), kind), sa.literal_column("''"))

    return render


def row_type_of(handler: Handler) -> SqlType | None:
    return SqlType(qualified(*handler.rows_of)) if handler.rows_of else None


def page_of(
    plan: ReadPlan,
    projector: Projector,
    source: FromClause | None,
    render: Rendering,
    row_type: SqlType | None = None,
) -> Select[Any]:
    """The page of a plan, from its own table or another source, as one row."""
    rows = projector.rows(plan, source)
    keys = projector.keys(plan, rows) if plan.has_keyset else []
    names = [f"{WHOLE}k{number}" for number in range(len(keys))]
    values = (key.gathered.label(name) for key, name in zip(keys, names, strict=True))
    page = projector.records(plan, rows, *values, row_type=row_type).subquery("p")
    total = _total(plan, projector, source)
    return sa.select(render(page), sa.func.count(), _last_key(page, names) if plan.has_keyset else sa.null(), total)


def _total(plan: ReadPlan, projector: Projector, source: FromClause | None) -> ColumnElement[Any]:
    if plan.count is not Count.EXACT:
        return sa.null()
    counted = projector.counted(plan, source).subquery("c")
    return sa.select(sa.func.count()).select_from(counted).scalar_subquery()


def _last_key(page: Subquery, names: list[str]) -> ColumnElement[Any]:
    """The sort values of the last row as text, taken from arrays: cheaper than a value made for every row."""
    last = (sa.type_coerce(sa.func.array_agg(page.c[name]), sa.ARRAY(Text))[sa.func.count()] for name in names)
    return sa.func.json_build_array(*(sa.cast(value, Text) for value in last))
