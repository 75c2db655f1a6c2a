"""What the numbers were measured on."""

import asyncio
import os
import platform
import re
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from loadtests.bench.generators import Generator


@dataclass(frozen=True, slots=True)
class Machine:
    processor: str
    cores: int
    python: str
    postgresql: str
    uvicorn: str
    generator: str

    def lines(self) -> list[str]:
        cores = f"{self.cores} core" + "s" * (self.cores != 1)
        return [
            f"{self.processor}, {cores}; {platform.system()} {platform.machine()}",
            f"Python {self.python}, PostgreSQL {self.postgresql}, {self.uvicorn}, load by {self.generator}",
        ]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


async def describe(postgresql: str, generator: Generator) -> Machine:
    return Machine(
        processor=_processor(),
        cores=_cores(),
        python=platform.python_version(),
        postgresql=postgresql,
        uvicorn=f"uvicorn {version('uvicorn')}",
        generator=await _generator(generator),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def _generator(generator: Generator) -> str:
    if generator is Generator.LOCUST:
        return f"Locust {version('locust')}"
    process = await asyncio.create_subprocess_exec(
        "wrk", "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    number = re.search(r"\d+(\.\d+)+", output.decode())
    return f"wrk {number[0]}" if number else "wrk"
