"""The rounds: every case, every application, in turn."""

import itertools
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.bench.apps import App, Comparison
from loadtests.bench.cases import Case, write_calls
from loadtests.bench.check import check_answers, check_nothing_is_off
from loadtests.bench.database import FLIGHTS, Database
from loadtests.bench.errors import BenchError
from loadtests.bench.generators import Generator, Job, Load, run_job
from loadtests.bench.process import Running, running

_WARM_UP_SECONDS = 2  # with one, Locust once had nothing to tell
# An answer that was on its way when the load ended is written, but not counted; the other way round never.
_LEAST_WRITTEN = 0.99
# Where each load begins to count: what the one before it still had on its way is never sent again. More than one load
# sends, and no multiple of the calls in a file, so that each begins with others.
_STRIDE = 10_007_919


@dataclass(frozen=True, slots=True)
class Options:
    """What to run."""

    comparison: Comparison
    cases: Sequence[Case]
    rounds: int
    seconds: int
    connections: int
    generator: Generator

    @property
    def loads(self) -> int:
        """How many loads there are in all, warm-ups included."""
        return len(self.cases) * len(self.comparison.apps) * (self.rounds + 1)


@dataclass(slots=True)
class Results:
    """The loads by case and application, a round each, and the memory of each application after them, in bytes."""

    loads: dict[tuple[Case, App], list[Load]] = field(default_factory=dict)
    memory: dict[App, int] = field(default_factory=dict)


async def run(options: Options, database: Database, say: Callable[[str], None], step: Callable[[], None]) -> Results:
    """Start the applications, check them, load them, and stop them.

    `say` is told what is being done, `step` is called after each load.

    Raises:
        BenchError: an application does not start, answers wrongly, or answers with an error under load.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        servers = []
        for app in options.comparison.apps:
            say(f"Starting {app.title}")
            servers.append(await stack.enter_async_context(running(app, folder, *_surroundings(app, database))))
        say("Checking the answers")
        await check_answers(servers, database, options.cases)
        await check_nothing_is_off(servers)
        rounds = _Rounds(options, database, folder)
        results = Results()
        for number, case, server in _turns(options, servers):
            is_warm_up = number == 0
            turn = "warm-up" if is_warm_up else f"round {number}/{options.rounds}"
            say(f"{turn}  {case.label}  {server.app.title}")
            load = await rounds.load(case, server, _WARM_UP_SECONDS if is_warm_up else options.seconds)
            if not is_warm_up:
                results.loads.setdefault((case, server.app), []).append(load)
            step()
        results.memory = {server.app: server.memory for server in servers}
        return results


def _surroundings(app: App, database: Database) -> tuple[dict[str, str], dict[str, str]]:
    """The environment of the application, and the headers that it is sent."""
    environment, headers = {"DATABASE_URL": database.url}, {"Content-Type": "application/json"}
    if app.is_rowhouse:
        environment["JWT_SECRET"] = secrets.token_hex(32)
        headers["X-API-Key"] = database.key
    return environment, headers


def _turns(options: Options, servers: Sequence[Running]) -> Iterator[tuple[int, Case, Running]]:
    """Round 0 warms up. Another application is first each time, so that none always meets the same neighbour."""
    for number in range(options.rounds + 1):
        for case in options.cases:
            for position in range(len(servers)):
                yield number, case, servers[(number + position) % len(servers)]


class _Rounds:
    """Loads one application at a time, and leaves the tables as it found them."""

    def __init__(self, options: Options, database: Database, folder: Path) -> None:
        self._options = options
        self._database = database
        self._folder = folder
        self._starts = itertools.count(0, _STRIDE)

    async def load(self, case: Case, server: Running, seconds: int) -> Load:
        before = await self._database.transactions() if case.is_write else 0
        load = await run_job(self._options.generator, self._job(case, server, seconds))
        _check_load(load, case, server)
        if case.is_write:
            written = await self._database.transactions() - before
            if written < load.requests * _LEAST_WRITTEN:
                raise BenchError(
                    f"{server.app.title}, {case.label}: {load.requests} answers, but {written} transactions."
                )
            await self._database.tidy()
        server.empty_log()
        return load

    def _job(self, case: Case, server: Running, seconds: int) -> Job:
        return Job(
            base=server.base,
            method=case.method,
            file=self._file(case, server.app),
            first=next(self._starts),
            numbers=case.numbers,
            headers=server.headers,
            seconds=seconds,
            connections=self._options.connections,
        )

    def _file(self, case: Case, app: App) -> Path:
        path = self._folder / f"{app.name}-{case}.calls"
        if not path.exists():
            write_calls(case, app, FLIGHTS, path)
        return path


def _check_load(load: Load, case: Case, server: Running) -> None:
    if load.refused or load.broken or not load.requests:
        raise BenchError(
            f"{server.app.title}, {case.label}: of {load.requests} answers {load.refused} were errors, "
            f"and {load.broken} connections broke or timed out. Its last words:\n{server.last_words}"
        )
