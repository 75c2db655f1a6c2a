"""Read plans to statements."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Select, Subquery, Text

from service.query.compile.projection import EMPTY_ARRAY, Projector
from service.query.compile.statement import Parameters, Statement, finish
from service.query.plan import ReadPlan


def compile_item(plan: ReadPlan) -> Statement:
    """One row: its JSON, and its version as text. No row where nothing matches."""
    projector = Projector(Parameters(plan))
    rows = projector.rows(plan)
    query = projector.query(plan, rows, sa.func.row_to_json(rows.record), rows.conditions.version())
    return finish(query.limit(sa.literal_column("1")))


def compile_list(plan: ReadPlan) -> Statement:
    """One row: a JSON array, how many are in it, the sort values of the last one as JSON, and the count or NULL."""
    projector = Projector(Parameters(plan))
    rows = projector.rows(plan)
    keys = [rows.conditions.column(term.column).label(f"k{number}") for number, term in enumerate(plan.order)]
    page = projector.query(plan, rows, rows.record.label("r"), *keys).subquery("p")
    return finish(
        sa.select(
            sa.func.coalesce(sa.func.json_agg(page.c.r), EMPTY_ARRAY),
            sa.func.count(),
            _last_key(page) if plan.limit is not None and keys else sa.null(),
            _count(plan, projector).scalar_subquery() if plan.wants_count else sa.null(),
        )
    )


def _last_key(page: Subquery) -> ColumnElement[Any]:
    """The sort values of the last row as text, taken from arrays: cheaper than a value made for every row."""
    keys = [column for column in page.c if column.name != "r"]
    last = (sa.type_coerce(sa.func.array_agg(key), sa.ARRAY(Text))[sa.func.count()] for key in keys)
    return sa.func.json_build_array(*(sa.cast(value, Text) for value in last))


def _count(plan: ReadPlan, projector: Projector) -> Select[Any]:
    rows = projector.rows(plan)
    return sa.select(sa.func.count()).select_from(rows.table).where(*projector.condition(plan, rows))
