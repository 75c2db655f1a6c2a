"""Locust against the service: a smoke, and a run that must fail."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from loadtests.load.run import Load, Result, run
from service.core.types import Action, Role
from service.crud import accounts
from tests.conftest import Database
from tests.service_under_test import Service, in_session

# A machine that runs tests is no place to measure on: only what is far too slow is a fault here.
_PATIENT = ("--p95", "read=15000,write=15000", "--p99", "read=20000,write=20000", "--most-failures", "0")

_KINDS = {"event", "export", "follow", "page", "read", "write"}
_AIRLINES = (Role.EDITOR, "airlines")


@pytest.fixture(scope="module")
def credentials(service: Service, database: Database) -> Iterator[dict[str, str]]:
    """An editor's key, and an operator who may do as much."""
    email, password = "load@example.com", secrets.token_urlsafe(18)

    async def make(session: AsyncSession) -> None:
        await accounts.create_user(session, email, password, Role.EDITOR)

    in_session(database.service_url, make)
    yield {"LOAD_KEY": service.keys[Role.EDITOR], "LOAD_EMAIL": email, "LOAD_PASSWORD": password}
    database.execute("delete from rowhouse.users where email = $1", email)


def _run(load: Load, folder: Path, is_enough: Callable[[Result], bool]) -> Result:
    """Run it, and for longer where the machine has had no time for it."""
    for seconds in (load.seconds, 20, 60):
        result = asyncio.run(run(replace(load, seconds=seconds), folder))
        if is_enough(result):
            break
    return result


def test_a_smoke_of_all_users_is_within_all_thresholds(
    service: Service, database: Database, credentials: dict[str, str], tmp_path: Path
) -> None:
    options = (*_PATIENT, "--notebooks", "4", "--operators", "4")
    load = Load(service.url, 12, 5, credentials, options, tmp_path / "report.html")
    result = _run(load, tmp_path, lambda seen: bool(seen.faults) or {kind["kind"] for kind in seen.kinds} == _KINDS)
    assert result.faults == [], result.errors
    assert {kind["kind"] for kind in result.kinds} == _KINDS
    assert result.committed > 0
    assert result.followers > 1
    assert (tmp_path / "report.html").stat().st_size > 0
    assert database.execute("select from planes where tailnum like 'LOAD-%'") == []


def test_a_service_that_is_slow_and_fails_fails_the_run(
    service: Service, database: Database, credentials: dict[str, str], tmp_path: Path
) -> None:
    options = ("--p95", "write=500", "--dashboards", "6", "--notebooks", "0", "--operators", "0", "--listeners", "1")
    wrong = ("requests failed", "p95 of write")
    is_over = Event()
    holder = Thread(target=asyncio.run, args=(_hold(database, is_over),))
    in_session(database.service_url, lambda session: accounts.revoke_grant(session, *_AIRLINES, [Action.READ]))
    holder.start()
    try:
        load = Load(service.url, 12, 4, credentials, options)
        result = _run(load, tmp_path, lambda seen: all(any(fault in told for told in seen.faults) for fault in wrong))
    finally:
        is_over.set()
        holder.join()
        in_session(database.service_url, lambda session: accounts.grant(session, *_AIRLINES, [Action.READ], None))
    for fault in wrong:
        assert any(fault in told for told in result.faults), result


async def _hold(database: Database, is_over: Event) -> None:
    """Lock the table a second out of two."""
    connection = await asyncpg.connect(database.owner_url)
    while not is_over.is_set():
        async with connection.transaction():
            await connection.execute("lock table planes in access exclusive mode")
            await asyncio.sleep(1)
        await asyncio.sleep(1)
    await connection.close()
