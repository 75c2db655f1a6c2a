"""What the service answers is what its OpenAPI document says, for requests that the document alone gave rise to.

The checks `positive_data_acceptance` and `negative_data_rejection` are left out: PostgreSQL is the judge of values, and
takes some that a schema would not ('infinity' for a time) and refuses some that it would (a key that refers to no row).

Writes go to a database of this module's own.
"""

import asyncio
import fcntl
from collections.abc import Iterator
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

from service.core.types import Role
from service.db.embedded import DATABASE, EmbeddedPostgres
from tests.conftest import Database
from tests.service_under_test import Service, make_keys, run_service

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
# The same requests on every run, and as many as half a minute allows.
few_examples = settings(
    max_examples=10, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


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


def check_all(service: Service, headers: dict[str, str]) -> None:
    """Try every operation of the document that these headers are shown."""
    config = schemathesis.Config(projects=ProjectsConfig(default=_CONFIG))
    document = schemathesis.openapi.from_url(f"{service.url}/openapi.json", config=config, headers=headers)
    failures: list[str] = []
    found = list(document.get_all_operations())
    operations = [result.ok() for result in found if isinstance(result, Ok)]
    assert len(operations) == len(found)
    assert "GET /api/v1/flights" in {operation.label for operation in operations}
    for operation in operations:
        try:
            call(operation, headers)
        except FailureGroup as group:
            failures.append(f"{operation.label}: {group}")
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


def call(operation: Operation, headers: dict[str, str]) -> None:
    """Send requests that the document allows, that it shows as examples, and that it forbids."""
    allowed, forbidden = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @few_examples
    @given(case=st.one_of(allowed, *operation.get_strategies_from_examples(), forbidden))
    def send(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers=headers, checks=_CHECKS)

    send()


def test_anonymous_callers_are_answered_as_documented(described_service: Service) -> None:
    check_all(described_service, {})


def test_editors_are_answered_as_documented(described_service: Service) -> None:
    check_all(described_service, {"X-API-Key": described_service.keys[Role.EDITOR]})
