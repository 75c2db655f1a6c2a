"""Backups of PostgreSQL 15, with extensions and foreign tables, by its own programs and by newer ones."""

import asyncio
import os
from pathlib import Path

import pytest

from service.backups import manifest as manifests
from service.backups import ways
from service.backups.programs import find_programs
from service.backups.restore import Restoring
from service.core.errors import ConfigurationError
from tests.command import run_rowhouse
from tests.debian.conftest import DebianPostgres


@pytest.fixture(scope="module")
def archive(debian: DebianPostgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backups") / "debian.dump"
    urls = {"DATABASE_URL": debian.url("rowhouse_service"), "MIGRATION_DATABASE_URL": debian.url("postgres")}
    run = run_rowhouse({"PATH": os.environ["PATH"], **urls}, "backup", str(path))
    assert run.returncode == 0, run.stderr
    assert "of PostgreSQL 15" in run.stderr
    return path


async def try_to_restore(
    debian: DebianPostgres, archive: Path, release: int, jobs: int, role: str = "postgres"
) -> None:
    manifest = manifests.read(archive)
    assert "postgis" in manifest.extensions
    place = await ways.place_of(debian.url(role), 5)
    await ways.check_server(place, manifest)
    programs = await find_programs(release)
    restoring = Restoring(archive, manifest, programs, "cli", with_owners=True, written=lambda: None)
    await ways.on_trial(place, restoring, jobs)


@pytest.mark.parametrize(("release", "jobs"), [(15, 1), (15, 2), (18, 1)])
def test_it_can_be_restored(debian: DebianPostgres, archive: Path, release: int, jobs: int) -> None:
    """By programs of its own release, and by later ones, which write what it does not know."""
    asyncio.run(try_to_restore(debian, archive, release, jobs))


def test_later_programs_are_refused_where_they_cannot(debian: DebianPostgres, archive: Path) -> None:
    with pytest.raises(ConfigurationError, match="postgresql-client-15"):
        asyncio.run(try_to_restore(debian, archive, 18, 2))


def test_an_owner_that_may_make_no_database_is_told(debian: DebianPostgres, archive: Path) -> None:
    with pytest.raises(ConfigurationError, match="may make databases"):
        asyncio.run(try_to_restore(debian, archive, 15, 1, "rowhouse_owner"))
