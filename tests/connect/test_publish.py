"""`make publish` with the vendor's own command, to a stand-in that runs what it is sent as Connect does."""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import httpx2
import pytest
from packaging.requirements import Requirement
from sqlalchemy.ext.asyncio import AsyncSession

from deploy import generated
from deploy.connect.publish import command, faults
from loadtests.connect.checks import CHECKS, Visitor
from loadtests.connect.content import Content
from loadtests.connect.stand_in import StandIn, standing_in
from service.core.types import Role
from service.crud import accounts
from tests.conftest import Database
from tests.service_under_test import Service, in_session

_KEY = "connect-key-of-the-test"
_EMAIL, _PASSWORD = "lovelace@example.com", "correct horse battery"
_WHOLE = {"CONNECT_SERVER": "https://c", "CONNECT_API_KEY": "k", "DATABASE_URL": "postgresql://d", "JWT_SECRET": "s"}


async def _same_environment(folder: Path, say: Callable[[str], None]) -> Path:
    """The tests' own, which has what the bundle's requirements name, as they pin it."""
    text = (folder / "requirements.txt").read_text()
    for line in re.findall(r"^[a-z].*?(?= \\$)", text, re.MULTILINE):
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate():
            assert version(wanted.name) in wanted.specifier, line
    say("Everything is there.")
    return Path(sys.executable)


async def _publish(stand_in: StandIn, environment: Mapping[str, str], home: Path) -> str:
    """Run it as `make publish` does; what it prints."""
    kept = {"PATH": os.environ["PATH"], "HOME": str(home), "CONNECT_SERVER": stand_in.url, "CONNECT_API_KEY": _KEY}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.connect.publish"),
        cwd=generated.ROOT,
        env=kept | dict(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def test_what_is_published_serves_under_its_prefix(service: Service, database: Database, tmp_path: Path) -> None:
    async def make(session: AsyncSession) -> None:
        await accounts.create_user(session, _EMAIL, _PASSWORD, Role.EDITOR)

    given = {
        "DATABASE_URL": database.service_url,
        "JWT_SECRET": "never shown " * 4,
        "CONNECT_TITLE": "Flights",
        "CONNECT_VARIABLES": "CONNECT_IDENTITY",
        "CONNECT_IDENTITY": "true",
    }

    async def publish() -> tuple[StandIn, Content]:
        async with standing_in(tmp_path, {_KEY: _EMAIL}, _same_environment) as stand_in:
            said = await _publish(stand_in, given, tmp_path)
            (content,) = stand_in.contents.values()
            assert not any(secret in said for secret in (_KEY, given["DATABASE_URL"], given["JWT_SECRET"]))
            visitor = Visitor(
                f"{stand_in.url}/content/{content.guid}", _KEY, service.keys[Role.EDITOR], _EMAIL, _PASSWORD
            )
            for check in CHECKS:
                await check(visitor)
            return stand_in, content

    in_session(database.service_url, make)
    stand_in, content = asyncio.run(publish())
    database.execute("delete from rowhouse.users where email = $1", _EMAIL)
    assert (content.title, content.active) == ("Flights", "1")
    assert content.environment == {name: given[name] for name in ("DATABASE_URL", "JWT_SECRET", "CONNECT_IDENTITY")}
    assert "POST v1/content/GUID/bundles" in stand_in.calls


def test_a_database_that_is_down_fails_no_deploy(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "JWT_SECRET": "x" * 40}

    async def publish() -> list[int]:
        async with standing_in(tmp_path, {_KEY: _EMAIL}, _same_environment, keeps_prefix=True) as stand_in:
            await _publish(stand_in, given, tmp_path)
            (guid,) = stand_in.contents
            async with httpx2.AsyncClient(base_url=f"{stand_in.url}/content/{guid}", timeout=30) as client:
                return [(await client.get(path)).status_code for path in ("/", "/docs", "/livez", "/api/v1/flights")]

    assert asyncio.run(publish()) == [307, 200, 200, 503]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"CONNECT_SERVER": ""}, "CONNECT_SERVER is not set"),
        ({"CONNECT_SERVER": "connect.example.com"}, "CONNECT_SERVER is no URL"),
        ({"CONNECT_API_KEY": ""}, "CONNECT_API_KEY is not set"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"JWT_SECRET": ""}, "JWT_SECRET is not set"),
        ({"CONNECT_VARIABLES": "ROOT_PATH"}, "CONNECT_VARIABLES names ROOT_PATH, which is not set"),
        ({"CONNECT_VARIABLES": "A=b"}, "'A=b' is no name"),
        ({"CONNECT_VARIABLES": "CONNECT_API_KEY"}, "'CONNECT_API_KEY' is no name"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, str], said: str) -> None:
    (fault,) = faults(_WHOLE | changes)
    assert said in fault


def test_values_of_variables_are_on_no_command_line() -> None:
    whole = _WHOLE | {"CONNECT_VARIABLES": "CONNECT_ROLE", "CONNECT_ROLE": "viewer"}
    assert faults(whole) == []
    assert command(whole)[-6:] == ["-E", "DATABASE_URL", "-E", "JWT_SECRET", "-E", "CONNECT_ROLE"]
    assert not {"https://c", "k", "postgresql://d", "s"} & set(command(whole))


def test_content_that_exists_needs_no_variables_anew() -> None:
    again = {"CONNECT_SERVER": "https://c", "CONNECT_API_KEY": "k", "CONNECT_APP_ID": "5d2c"}
    assert faults(again) == []
    assert command(again)[-2:] == ["--app-id", "5d2c"]
