"""What PostgreSQL reads of the log to find what is new, however the log was written."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from service.events.log import BATCH, EXTENT
from tests.conftest import Database

_LOADED = 30_000
_LOAD = """
insert into rowhouse.changes (xid, at, tracked, op, key, db_user)
select pg_current_xact_id(), now(), 0, 'i', n, 'load' from generate_series(1, $1::int) n
"""
_NOW = "pg_current_snapshot()::text"


@pytest.fixture
def loaded(database: Database) -> Iterator[Database]:
    """All of the log but a little is of one transaction, and the statistics say so."""
    database.execute_as_superuser(_LOAD, _LOADED)
    database.execute_as_superuser("analyze rowhouse.changes")
    yield database
    database.execute_as_superuser("delete from rowhouse.changes where db_user = 'load' and tracked = 0")
    database.execute_as_superuser("analyze rowhouse.changes")


@pytest.mark.parametrize(
    ("sql", "types", "values"),
    [(BATCH, "text", "{now}"), (EXTENT, "text, int[], text", "{now}, '{{0}}', {now}")],
    ids=["batch", "extent"],
)
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_nothing_new_is_found_without_reading_the_log(
    loaded: Database, sql: str, types: str, values: str, mode: str
) -> None:
    plan = asyncio.run(_explain(loaded.superuser_url, sql, types, values, mode))
    assert _looked_at(plan) < _LOADED / 100


async def _explain(url: str, sql: str, types: str, values: str, mode: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"set plan_cache_mode = {mode}")
        await connection.execute(f"prepare looking ({types}) as {sql}")
        now = await connection.fetchval(f"select quote_literal({_NOW})")
        found = await connection.fetchval(f"explain (analyze, format json) execute looking ({values.format(now=now)})")
        return json.loads(found)[0]["Plan"]
    finally:
        await connection.close()


def _looked_at(plan: dict[str, Any]) -> float:
    """Rows of the log, found or passed over."""
    own = (
        plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) if "changes" in plan.get("Relation Name", "") else 0
    )
    return float(own * plan["Actual Loops"] + sum(_looked_at(below) for below in plan.get("Plans", [])))
