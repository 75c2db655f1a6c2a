"""The service as on a host: Gunicorn with two processes, and `rowhouse worker` beside it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.apps import ROWHOUSE, App
from loadtests.load.ground import Ground

_ROOT = Path(__file__).parents[2]
_CONFIGURATION = _ROOT / "deploy" / "gunicorn" / "gunicorn.conf.py"
_PROCESSES = 2
_STOP_SECONDS = 30


@dataclass(frozen=True, slots=True, eq=False)
class Gunicorn(App):
    """Two processes under the configuration that is deployed."""

    def command(self, port: int) -> list[str]:
        options = ["--bind", f"127.0.0.1:{port}", "--pythonpath", str(_ROOT)]
        if _CONFIGURATION.exists():
            return ["gunicorn", "-c", str(_CONFIGURATION), *options, self.asgi]
        workers = ["--workers", str(_PROCESSES), "--worker-class", "uvicorn_worker.UvicornWorker"]
        return ["gunicorn", *options, *workers, self.asgi]


GUNICORN = Gunicorn(
    "gunicorn",
    "Gunicorn",
    ROWHOUSE.asgi,
    ROWHOUSE.flights,
    environment={**ROWHOUSE.environment, "WEB_CONCURRENCY": str(_PROCESSES), "PYTHONPATH": str(_ROOT)},
)


@asynccontextmanager
async def worker(ground: Ground, folder: Path, environment: dict[str, str]) -> AsyncIterator[int]:
    """`rowhouse worker`; its process's id."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    with (folder / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from service.cli.main import run; run()", "worker"),
            cwd=folder,
            env=kept | ground.environment | environment | {"PYTHONPATH": str(_ROOT), "ENVIRONMENT": "production"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
