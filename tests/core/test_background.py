"""Work beside the requests goes on whatever happens."""

import asyncio

import pytest

from service.core import background
from service.core.background import Background


class _FailsAtFirst(Background):
    def __init__(self) -> None:
        self.began = 0
        self.is_well = asyncio.Event()

    async def _run(self) -> None:
        self.began += 1
        if self.began == 1:
            raise RuntimeError("not foreseen")
        self.is_well.set()
        await asyncio.Event().wait()


async def test_what_was_not_foreseen_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PAUSE_SECONDS", 0.01)
    task = _FailsAtFirst()
    task.start()
    await asyncio.wait_for(task.is_well.wait(), 10)
    await task.stop()
    assert task.began == 2


async def test_it_stops_while_it_waits_after_an_error() -> None:
    task = _FailsAtFirst()
    task.start()
    await asyncio.sleep(0.05)
    assert task.began == 1
    await task.stop()
    assert not task.is_well.is_set()
