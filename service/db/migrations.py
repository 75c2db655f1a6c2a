"""Runs Alembic's migrations as the owner, and tells whether they are all there."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from service.core.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
# Any number will do, as long as every process takes the same: migrations run one at a time.
LOCK_KEY = 7_036_874_417_766
LOCK_TIMEOUT = "5s"


class Branch(StrEnum):
    """A line of migrations: Rowhouse's own schema, or the declared tables."""

    ROWHOUSE = "rowhouse"
    TABLES = "tables"


@dataclass(frozen=True, slots=True)
class MigrationState:
    """Revisions that the code has and the database lacks, by branch label."""

    pending: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        return not self.pending


def alembic_config(url: str) -> Config:
    """Alembic's settings from `pyproject.toml`, for the database at `url`."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = url
    return config


async def migrate(url: str, branches: tuple[Branch, ...]) -> None:
    """Bring the branches to their heads. Each migration is one transaction; a lock lets one process do it."""
    for branch in branches:
        await asyncio.to_thread(command.upgrade, alembic_config(url), f"{branch}@head")


async def downgrade(url: str, branches: tuple[Branch, ...]) -> None:
    """Take the branches back to nothing, the last one first."""
    for branch in reversed(branches):
        await asyncio.to_thread(command.downgrade, alembic_config(url), f"{branch}@base")


async def check(url: str) -> None:
    """Compare the models with the database.

    Raises:
        ConfigurationError: they differ, or migrations are pending.
    """
    try:
        await asyncio.to_thread(command.check, alembic_config(url))
    except CommandError as error:
        raise ConfigurationError(f"The models and the database differ: {error}") from None


def head(branch: Branch) -> str:
    """The newest revision that the code has of a branch."""
    script = ScriptDirectory.from_config(alembic_config("")).get_revision(f"{branch}@head")
    return script.revision


async def pending(connection: "asyncpg.Connection[asyncpg.Record]") -> MigrationState:
    """Which branches are behind. A branch that was never begun is behind only if it is Rowhouse's own."""
    if await connection.fetchval("select to_regclass('rowhouse.alembic_version')") is None:
        return MigrationState((head(Branch.ROWHOUSE),))
    present = {row[0] for row in await connection.fetch("select version_num from rowhouse.alembic_version")}
    return await asyncio.to_thread(behind, frozenset(present))


@cache
def behind(present: frozenset[str]) -> MigrationState:
    """Which branches are behind where the database names these revisions."""
    script = ScriptDirectory.from_config(alembic_config(""))
    if present - {item.revision for item in script.walk_revisions()}:
        return MigrationState(())  # a newer release has migrated already: old ones go on while it rolls out
    # The table names the newest alone: what they stand on, and depend on, is there as well.
    found = {item.revision for one in present for item in script.iterate_revisions(one, "base")}
    return MigrationState(tuple(head(branch) for branch in Branch if _is_behind(script, branch, found)))


def _is_behind(script: ScriptDirectory, branch: Branch, present: set[str]) -> bool:
    walked = script.iterate_revisions(f"{branch}@head", "base")  # with what the branch depends on
    revisions = {item.revision for item in walked if branch in item.branch_labels}
    has_begun = bool(present & revisions) or branch is Branch.ROWHOUSE
    return has_begun and head(branch) not in present
