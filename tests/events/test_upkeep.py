"""The running service keeps the change log in order."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import generate_latest

from service.core.errors import DatabaseUnavailable
from service.db.pool import TablePool
from service.events.upkeep import Upkeep
from service.observability.metrics import Metrics
from tests.events.conftest import Log
from tests.service_under_test import Service, settings_from


@asynccontextmanager
async def upkeep_of(url: str, /, *, every: float = 60, days: str = "90", weeks: str = "4") -> AsyncIterator[Upkeep]:
    settings = settings_from({"DATABASE_URL": url, "CHANGE_LOG_DAYS": days, "CHANGE_LOG_WEEKS_AHEAD": weeks})
    pool = TablePool(url, settings.database, role=None)
    upkeep = Upkeep(pool, settings.change_log, every=every)
    try:
        yield upkeep
    finally:
        await upkeep.stop()
        await pool.close()


def once(log: Log, days: str = "90", weeks: str = "4") -> Upkeep:
    async def run() -> Upkeep:
        async with upkeep_of(log.database.service_url, days=days, weeks=weeks) as upkeep:
            await upkeep.once()
            return upkeep

    return asyncio.run(run())


async def until(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen in time")


LAST_TWO = """
select inhrelid::regclass::text from pg_inherits
where inhparent = 'rowhouse.changes'::regclass and inhrelid <> 'rowhouse.changes_default'::regclass
order by 1 desc limit 2
"""


def test_it_begins_the_life_arranges_and_makes_partitions(log: Log) -> None:
    log.run("create table items (id integer primary key)")
    log.track("items")
    log.run("alter table items rename id to number; update rowhouse.log_state set life = 'other'")
    upkeep = once(log, weeks="6")
    assert upkeep.figures
    assert upkeep.figures.ahead == 6
    assert log.fetch("select life = rowhouse.life() from rowhouse.log_state")[0][0]
    assert log.fetch("select key from rowhouse.tracked where relation = 'logged.items'::regclass")[0][0] == ["number"]
    for week in log.fetch(LAST_TWO):
        log.fetch(f"drop table {week[0]}")


def test_it_keeps_changes_for_ever_if_it_is_told_so(log: Log) -> None:
    log.fetch("select rowhouse.make_partition('changes_20180101', '2018-01-01Z', '2018-01-08Z')")
    here = "select to_regclass('rowhouse.changes_20180101') is not null"
    once(log, days="0")
    assert log.fetch(here)[0][0]
    for _ in range(100):  # a partition goes in a moment in which nobody uses the log
        once(log)
        if not log.fetch(here)[0][0]:
            return
        time.sleep(0.2)
    raise AssertionError("the partition is kept")


def test_its_metrics_tell_of_the_log(log: Log) -> None:
    log.run("create table items (id integer primary key)")
    log.track("items")
    log.run(
        "insert into rowhouse.changes (xid, at, tracked, op, key, db_user) "
        "values (pg_current_xact_id(), '2018-01-03Z', 0, 'i', 'late', 'x')"
    )

    async def run() -> tuple[str, str]:
        async with upkeep_of(log.database.service_url, days="0") as upkeep:
            metrics = Metrics("1")
            metrics.watch_change_log(lambda: upkeep.figures)
            before = generate_latest(metrics.registry).decode()
            await upkeep.once()
            metrics.sample()
            log_of_now = generate_latest(metrics.registry).decode()
            return before, log_of_now

    before, after = asyncio.run(run())
    log.fetch("drop table rowhouse.changes_20180101")
    assert "rowhouse_change_log" not in before
    seq = log.fetch("select last_value from rowhouse.change_seq")[0][0]
    tables = log.fetch("select count(*) from rowhouse.tracked where until is null")[0][0]
    values = dict(line.split() for line in after.splitlines() if line.startswith("rowhouse_change_log"))
    assert float(values["rowhouse_change_log_changes"]) == seq
    assert float(values["rowhouse_change_log_tracked_tables"]) == tables
    assert float(values["rowhouse_change_log_partitions_ahead"]) == 4
    assert float(values["rowhouse_change_log_unplaced_rows"]) == 0  # it was moved at once
    assert "rowhouse_change_log_upkeep_timestamp_seconds" in values


def test_it_goes_on_when_the_database_was_down(log: Log) -> None:
    async def run() -> None:
        async with upkeep_of("postgresql://x@127.0.0.1:1/x", every=0.01) as upkeep:
            with pytest.raises(DatabaseUnavailable):
                await upkeep.once()
            upkeep.start()
            await asyncio.sleep(0.1)
            assert upkeep.figures is None
            settings = settings_from({"DATABASE_URL": log.database.service_url})
            upkeep._pool = TablePool(log.database.service_url, settings.database, role=None)
            await until(lambda: upkeep.figures is not None)
            await upkeep.stop()
            await upkeep._pool.close()

    asyncio.run(run())


def test_many_processes_may_do_it_at_once(log: Log) -> None:
    log.run("create table items (id integer primary key)")
    log.track("items")
    log.run("alter table items rename id to number")

    async def run() -> None:
        await asyncio.gather(*(one() for _ in range(8)))

    async def one() -> None:
        async with upkeep_of(log.database.service_url) as upkeep:
            await upkeep.once()

    asyncio.run(run())
    assert log.arrange() == 0
    log.run("insert into items values (1)")
    assert log.short("items") == [("i", "1")]


def test_the_running_service_does_it(log: Log, service: Service) -> None:
    with service.client() as client:
        for _ in range(200):
            if "rowhouse_change_log_upkeep_timestamp_seconds" in (text := client.get("/metrics").text):
                break
            time.sleep(0.05)
    assert "rowhouse_change_log_tracked_tables" in text
