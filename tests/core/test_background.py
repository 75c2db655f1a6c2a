"""Work beside the requests."""

import asyncio

import pytest

from service.core.background import Background


async def test_what_goes_on_beside_requests_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.core.background._AGAIN_SECONDS", 0.01)

    class Failing(Background):
        times = 0
        is_again = asyncio.Event()

        async def _run(self) -> None:
            self.times += 1
            if self.times == 1:
                raise ZeroDivisionError
            self.is_again.set()
            await asyncio.sleep(60)

    failing = Failing()
    failing.start()
    async with asyncio.timeout(5):
        await failing.is_again.wait()
    await failing.stop()
