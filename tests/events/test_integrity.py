"""Nothing lost, nothing twice, in a short form. At length: `python -m loadtests.feed_integrity`."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests import feed_integrity

_SECONDS = 14  # enough for three processes that are killed and one stop of PostgreSQL


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, since the path of a Unix socket may not be long, and open, since the server has a user of its own."""
    path = Path(tempfile.mkdtemp(prefix="rowhouse-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_each_change_is_seen_once_whatever_crashes(folder: Path) -> None:
    verdict = asyncio.run(feed_integrity.run(_SECONDS, folder))
    assert verdict.logged > 500
    assert verdict.crashes["process killed"] >= 2
    assert verdict.crashes["PostgreSQL stopped"] >= 1
    assert verdict.writes["rolled back"] > 0
    assert verdict.marks_lost == 0
    for subscriber, lost, twice, disordered, unknown in verdict.rows:
        assert (lost, twice, disordered, unknown) == (0, 0, 0, 0), subscriber.name
