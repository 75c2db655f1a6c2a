"""What the service answers is what its OpenAPI document says, for requests that the document alone gave rise to.

The checks `positive_data_acceptance` and `negative_data_rejection` are left out: PostgreSQL is the judge of values, and
takes some that a schema would not ('infinity' for a time) and refuses some that it would (a key that refers to no row).

Writes go to a database of this module's own.
"""

import asyncio
import fcntl
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.policy import FUNCTIONS
from service.core.types import OF_TABLES, Action, Role
from service.crud import accounts
from service.db.embedded import DATABASE, EmbeddedPostgres
from tests.awkward_database import SCHEMAS, awkward_database
from tests.conftest import Database
from tests.service_under_test import Service, in_session, make_keys, run_service

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
Operation = APIOperation[Any, Any, Any, Any]
# The credential is the test's to give.
_CONFIG = ProjectConfig(generation=GenerationConfig(with_security_parameters=False))


async def _run(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def own_database(postgres: EmbeddedPostgres, worker_id: str, shared_folder: Path) -> Iterator[Database]:
    name = f"schemathesis_{worker_id}"
    with (shared_folder / "postgres.lock").open("w") as lock:  # a template may have no other user
        fcntl.flock(lock, fcntl.LOCK_EX)
        asyncio.run(_run(postgres.superuser_url, f"create database {name} template {DATABASE} owner rowhouse_owner"))
    yield Database(name, postgres)
    asyncio.run(_run(postgres.superuser_url, f"drop database {name} with (force)"))


@pytest.fixture(scope="module")
def described_service(own_database: Database) -> Iterator[Service]:
    """Anonymous callers may read. Pages are short, so that checking them is."""
    environment = {
        "DATABASE_URL": own_database.service_url,
        "ANONYMOUS_ROLE": "viewer",
        "JWT_SECRET": "x" * 40,
        "RATE_LIMIT": "1000000",
        "LOGIN_RATE_LIMIT": "1000000",
        "API_MAX_ROWS": "5",
        "ACCESS_LOG": "false",
    }
    with run_service(environment, make_keys(own_database.service_url)) as running:
        yield running


@pytest.fixture(scope="module")
def awkward_service(postgres: EmbeddedPostgres, worker_id: str, shared_folder: Path) -> Iterator[Service]:
    """A database that somebody else made, in which editors may use everything."""
    with awkward_database(postgres, f"schemathesis_{worker_id}", shared_folder) as database:
        environment = {
            "DATABASE_URL": database.service_url,
            "EXPOSED_SCHEMAS": ",".join(SCHEMAS),
            "API_AGGREGATES": "true",
            "JWT_SECRET": "x" * 40,
            "RATE_LIMIT": "1000000",
            "API_MAX_ROWS": "5",
            "ACCESS_LOG": "false",
        }
        with run_service(environment, make_keys(database.service_url)) as running:
            catalog = running.state.connected().catalog
            functions = {FUNCTIONS + function.name for function in catalog.all_functions()}
            in_session(database.service_url, partial(_grant_all, {item.name for item in catalog}, functions))
            time.sleep(1.5)  # what was granted before is believed for a second
            yield running


async def _grant_all(tables: set[str], functions: set[str], session: AsyncSession) -> None:
    for table in sorted(tables):
        await accounts.grant(session, Role.EDITOR, table, list(OF_TABLES), None)
    for function in sorted(functions):
        await accounts.grant(session, Role.EDITOR, function, [Action.EXECUTE], None)


def check_all(service: Service, headers: dict[str, str], expected: str, *, examples: int = 6) -> None:
    """Try every operation of the document that these headers are shown, of which one is `expected`."""
    config = schemathesis.Config(projects=ProjectsConfig(default=_CONFIG))
    document = schemathesis.openapi.from_url(f"{service.url}/openapi.json", config=config, headers=headers)
    failures: list[str] = []
    found = list(document.get_all_operations())
    operations = [result.ok() for result in found if isinstance(result, Ok)]
    assert len(operations) == len(found)
    assert expected in {operation.label for operation in operations}
    for operation in operations:
        try:
            call(operation, headers, examples)
        except FailureGroup as group:
            failures.append(f"{operation.label}: {group}")
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


def call(operation: Operation, headers: dict[str, str], examples: int) -> None:
    """Send requests that the document allows, that it shows as examples, and that it forbids."""
    allowed, forbidden = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    # The same requests on every run, and as many as half a minute allows.
    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(allowed, *operation.get_strategies_from_examples(), forbidden))
    def send(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers=headers, checks=_CHECKS)

    send()


def test_anonymous_callers_are_answered_as_documented(described_service: Service) -> None:
    check_all(described_service, {}, "GET /api/v1/flights")


def test_editors_are_answered_as_documented(described_service: Service) -> None:
    check_all(described_service, {"X-API-Key": described_service.keys[Role.EDITOR]}, "PUT /api/v1/flights/{key}")


def test_editors_of_an_awkward_database_are_answered_as_documented(awkward_service: Service) -> None:
    headers = {"X-API-Key": awkward_service.keys[Role.EDITOR]}
    check_all(awkward_service, headers, "POST /api/v1/rpc/plain", examples=3)
