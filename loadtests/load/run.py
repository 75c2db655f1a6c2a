"""Runs Locust in a process of its own (it replaces the sockets of the process it is in), and reads its result."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.bench.errors import BenchError

_ROOT = Path(__file__).parents[2]
_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
# Beyond the time of the run: it starts, lets followers catch up, and writes its report.
_MOST_BEYOND = 60
# What a line of `Load.windows` is about.
WINDOW_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Load:
    """What to run, against which service. `options` are Locust's, and those of the locustfile."""

    host: str
    users: int
    seconds: int
    credentials: Mapping[str, str]
    options: Sequence[str] = ()
    report: Path | None = None
    windows: Path | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it; where `faults` are, it has failed."""

    faults: list[str]
    kinds: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    committed: int = 0
    followers: int = 0
    lost: int = 0
    breaks: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """What was asked; events come by themselves."""
        return sum(kind["requests"] for kind in self.kinds if kind["kind"] != "event")

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0


async def run(load: Load, folder: Path) -> Result:
    """Run it to its end.

    Raises:
        BenchError: Locust itself failed.
    """
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    command = [
        *("-m", "locust", "-f", str(_LOCUSTFILE), "--headless", "--only-summary", "--loglevel", "ERROR"),
        *("--host", load.host, "--users", str(load.users), "--spawn-rate", str(max(1, load.users // 3))),
        *("--run-time", f"{load.seconds}s", "--result", str(result), "--json-file", str(folder / "locust")),
        *(("--html", str(load.report)) if load.report else ()),
        *(("--windows", str(load.windows)) if load.windows else ()),
        *load.options,
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=folder,  # Locust reads locust.conf and pyproject.toml where it stands
        env=os.environ | dict(load.credentials) | {"PYTHONPATH": str(_ROOT)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(load.seconds + _MOST_BEYOND):
            output, _ = await process.communicate()
    except TimeoutError:
        raise BenchError(f"Locust did not end within {load.seconds + _MOST_BEYOND} s.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if not result.exists():
        raise BenchError(f"Locust failed:\n{output.decode(errors='replace')[-2000:]}")
    found = Result(**json.loads(result.read_text()))
    if bool(found.faults) != (process.returncode != 0):
        raise BenchError(f"Locust ended with {process.returncode}:\n{output.decode(errors='replace')[-2000:]}")
    return found
