"""An application in a process of its own."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.ports import free_port
from loadtests.bench.apps import App
from loadtests.bench.client import ask
from loadtests.bench.errors import BenchError

_START_SECONDS = 60
_STOP_SECONDS = 15
# Nothing else of the caller's environment may reach an application: its settings are part of what is measured.
_KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Running:
    """A running application, the headers that it must be sent, and the file that its output goes to."""

    app: App
    base: str
    headers: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process

    @property
    def memory(self) -> int:
        """Resident memory, in bytes, of the process and of those that it has started."""
        process = psutil.Process(self.process.pid)
        return sum(int(one.memory_info().rss) for one in (process, *process.children(recursive=True)))

    @property
    def last_words(self) -> str:
        """The end of its output, without the log lines of requests that went well."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if '"status":2' not in line]
        return "\n".join(lines[-12:])[-2500:] or "It wrote nothing."

    def empty_log(self) -> None:
        """A log line for each of a million requests would fill the disk."""
        os.truncate(self.log, 0)


@asynccontextmanager
async def running(
    app: App, folder: Path, environment: Mapping[str, str], headers: Mapping[str, str]
) -> AsyncIterator[Running]:
    """Start the application on a free port, and stop it when the block ends.

    Raises:
        BenchError: it does not answer.
    """
    port, log = free_port(), folder / f"{app.name}.log"
    command = [sys.executable, "-m", *app.command(port)]
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=kept | dict(app.environment) | dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C is ours to handle: it stops the applications one by one.
            start_new_session=True,
        )
    server = Running(app, f"http://127.0.0.1:{port}", headers, log, process)
    try:
        await _wait_until_it_answers(server)
        yield server
    finally:
        await _stop(process)


async def _wait_until_it_answers(server: Running) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not await _answers(server):
                if server.process.returncode is not None:
                    raise BenchError(f"{server.app.title} ended at its start:\n{server.last_words}")
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise BenchError(f"{server.app.title} does not answer:\n{server.last_words}") from None


async def _answers(server: Running) -> bool:
    with contextlib.suppress(OSError):
        answer = await ask(server.base, "GET", server.app.one_path(1), headers=server.headers)
        return answer.status == 200
    return False


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
