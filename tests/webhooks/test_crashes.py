"""Nothing lost, nothing out of order, in a short form. At length: `python -m loadtests.webhook_integrity`."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests import webhook_integrity


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, since the path of a Unix socket may not be long, and open, since the server has a user of its own."""
    path = Path(tempfile.mkdtemp(prefix="rowhouse-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_all_arrives_in_order_whoever_is_killed(folder: Path) -> None:
    verdict = asyncio.run(webhook_integrity.run(1500, folder))
    assert len(verdict.logged) >= 1500
    assert verdict.kills >= 3
    for one in verdict.receivers:
        assert verdict.logged == one.accepted
        assert (one.disordered, one.under_two_ids, one.unverified) == (0, 0, 0)
        assert one.repeated > 0, "nothing has gone wrong, so that nothing was tried"
