"""What processes hold: memory, descriptors, threads; and what PostgreSQL holds for them."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic

import asyncpg
import psutil

_MEGABYTE = 2**20


class Measure(StrEnum):
    RSS = "RSS MB"
    PSS = "PSS MB"
    USS = "USS MB"
    DESCRIPTORS = "descriptors"
    THREADS = "threads"
    CONNECTIONS = "connections"

    @property
    def least(self) -> float:
        """Growth that is none: megabytes of an allocator's, a descriptor of a connection that comes and goes."""
        return 2.0 if self.name.endswith("SS") else 3.0


Key = tuple[str, Measure]


@dataclass(slots=True)
class Samples:
    """Series by process and measure, and when they were taken."""

    moments: list[float] = field(default_factory=list)
    series: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    lost: list[str] = field(default_factory=list)

    async def take(
        self, processes: Mapping[str, psutil.Process], connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        """One sample of each."""
        self.moments.append(monotonic())
        for name, process in processes.items():
            try:
                figures = await asyncio.to_thread(_figures, process)
            except psutil.Error:
                if name not in self.lost:
                    self.lost.append(name)
                continue
            for measure, figure in figures.items():
                self.series[name, measure].append(figure)
        count = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        self.series["PostgreSQL", Measure.CONNECTIONS].append(float(await connection.fetchval(count)))


def _figures(process: psutil.Process) -> dict[Measure, float]:
    with process.oneshot():
        memory = process.memory_full_info()
        return {
            Measure.RSS: memory.rss / _MEGABYTE,
            Measure.PSS: memory.pss / _MEGABYTE,
            Measure.USS: memory.uss / _MEGABYTE,
            Measure.DESCRIPTORS: process.num_fds(),
            Measure.THREADS: process.num_threads(),
        }


def processes_of(server: int, worker: int) -> dict[str, psutil.Process]:
    """Gunicorn's master, those that serve, and the worker, by names."""
    master = psutil.Process(server)
    found = {"master": master, "worker": psutil.Process(worker)}
    with suppress(psutil.Error):
        for number, child in enumerate(sorted(master.children(), key=lambda one: one.pid), 1):
            found[f"server {number}"] = child
    return found
