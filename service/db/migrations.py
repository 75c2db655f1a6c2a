"""Runs Alembic's migrations as the owner, and tells whether they are all there."""

import asyncio
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

from service.core.errors import ConfigurationError
from service.db.migration_lock import DEFAULT_PATIENCE, Patience, without_queueing

ROOT = Path(__file__).parents[2]
_VERSIONS = "select version_num from rowhouse.alembic_version"


class Branch(StrEnum):
    """A line of migrations: Rowhouse's own schema, or the declared tables."""

    ROWHOUSE = "rowhouse"
    TABLES = "tables"


@dataclass(frozen=True, slots=True)
class MigrationState:
    """Revisions that the code has and the database lacks, in the order in which they would run.

    `is_ahead`: the database has revisions that the code does not know, of a newer release.
    """

    pending: tuple[str, ...]
    is_ahead: bool = False

    @property
    def is_current(self) -> bool:
        return not self.pending


def alembic_config(url: str, **attributes: object) -> Config:
    """Alembic's settings from `pyproject.toml`, for the database at `url`."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes.update(attributes, url=url)
    return config


def scripts() -> ScriptDirectory:
    """The migrations that the code has."""
    return ScriptDirectory.from_config(alembic_config(""))


async def migrate(
    url: str,
    branches: tuple[Branch, ...],
    patience: Patience = DEFAULT_PATIENCE,
    applied: Callable[[str, str], None] = lambda revision, title: None,
) -> None:
    """Bring the branches to their heads. Each migration is one transaction; a lock lets one process do it.

    `applied` is called, in another thread, with each revision and its title once it is there.

    Raises:
        DatabaseUnavailable: a lock was not to be had for as long as `patience` lasts. What was done stays.
    """
    config = alembic_config(url, patience=patience, applied=applied)
    for branch in branches:
        await without_queueing(partial(command.upgrade, config, f"{branch}@head"), patience)


async def downgrade(url: str, branches: tuple[Branch, ...]) -> None:
    """Take the branches back to nothing, the last one first."""
    for branch in reversed(branches):
        await asyncio.to_thread(command.downgrade, alembic_config(url), f"{branch}@base")


async def check(url: str, branches: Sequence[Branch] = tuple(Branch)) -> None:
    """Compare the models of these branches with the database, and change nothing.

    Raises:
        ConfigurationError: they differ.
    """
    if found := await asyncio.to_thread(_differences, url, branches):
        raise ConfigurationError(f"The models and the database differ: {found}")


def _differences(url: str, branches: Sequence[Branch]) -> list[Any]:
    found: list[Any] = []

    def compare(_: object, context: MigrationContext) -> Iterable[Any]:
        found.extend(compare_metadata(context, context.opts["target_metadata"]))
        return ()

    config = alembic_config(url, reads_only=True, branches=tuple(branches))
    script = ScriptDirectory.from_config(config)
    with EnvironmentContext(config, script, fn=compare, dont_mutate=True):
        script.run_env()
    return found


def sql(present: Iterable[str], branches: Sequence[Branch]) -> str:
    """What `migrate` would run where the database names these revisions."""
    target = "heads" if set(branches) == set(Branch) else f"{branches[0]}@head"
    return _offline(tuple(present), lambda script, heads: script._upgrade_revs(target, heads))


def sql_of(revision: str) -> str:
    """What one migration runs."""
    found = scripts().get_revision(revision)
    assert found is not None
    before = (*_as_tuple(found.down_revision), *_as_tuple(found.dependencies))
    return _offline(before, lambda script, heads: script._upgrade_revs(revision, heads))


def _offline(present: tuple[str, ...], steps: Callable[[ScriptDirectory, Any], Any]) -> str:
    written = io.StringIO()
    config = alembic_config("")
    config.output_buffer = written
    script = ScriptDirectory.from_config(config)
    with EnvironmentContext(
        config, script, fn=lambda heads, _: steps(script, heads), as_sql=True, starting_rev=present or None
    ):
        script.run_env()
    return written.getvalue()


def head(branch: Branch) -> str:
    """The newest revision that the code has of a branch."""
    script = scripts().get_revision(f"{branch}@head")
    assert script is not None
    return script.revision


def title(revision: str) -> str:
    """The first line of what a migration says of itself."""
    script = scripts().get_revision(revision)
    return "" if script is None else script.doc


async def revisions(connection: "asyncpg.Connection[asyncpg.Record]") -> frozenset[str]:
    """What the database names: the newest of each branch."""
    if await connection.fetchval("select to_regclass('rowhouse.alembic_version')") is None:
        return frozenset()
    return frozenset(row[0] for row in await connection.fetch(_VERSIONS))


async def pending(
    connection: "asyncpg.Connection[asyncpg.Record]", wanted: tuple[Branch, ...] = (Branch.ROWHOUSE,)
) -> MigrationState:
    """What is missing. A branch that was never begun is missing only if it is `wanted`."""
    return await asyncio.to_thread(behind, await revisions(connection), wanted)


@cache
def behind(present: frozenset[str], wanted: tuple[Branch, ...] = (Branch.ROWHOUSE,)) -> MigrationState:
    """What is missing where the database names these revisions."""
    script, ahead = scripts(), unknown(present)
    known = tuple(present - ahead)
    # The table names the newest alone: what they stand on, and depend on, is there as well.
    found = {item.revision for item in script.iterate_revisions(known, "base")} if known else set()
    missing: dict[str, None] = {}
    for branch in Branch:
        line = _line(script, branch)
        own = {item.revision for item in line if branch in item.branch_labels}
        # A branch that nothing known stands for may be the one that a newer release has migrated.
        is_here = bool(own & set(known)) if ahead else bool(own & found) or branch in wanted
        if is_here:
            missing.update((item.revision, None) for item in line if item.revision not in found)
    return MigrationState(tuple(missing), is_ahead=bool(ahead))


def unknown(present: frozenset[str]) -> frozenset[str]:
    """Those that the code does not have: of a newer release."""
    return present - {item.revision for item in scripts().walk_revisions()}


def begun(present: frozenset[str]) -> tuple[Branch, ...]:
    """The branches of which the database has anything, and Rowhouse's own."""
    script = scripts()
    known = tuple(present - unknown(present))
    found = set(script.iterate_revisions(known, "base")) if known else set()
    return tuple(
        branch for branch in Branch if branch is Branch.ROWHOUSE or any(branch in item.branch_labels for item in found)
    )


def _line(script: ScriptDirectory, branch: Branch) -> list[Script]:
    """The migrations of a branch and those that it depends on, in the order in which they run."""
    return list(reversed(list(script.iterate_revisions(f"{branch}@head", "base"))))


def _as_tuple(names: str | Iterable[str] | None) -> tuple[str, ...]:
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)
