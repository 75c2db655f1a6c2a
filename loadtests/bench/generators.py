"""The load: wrk where it is installed, or else Locust, which is slower than what it measures."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from loadtests.bench.errors import BenchError

_FOLDER = Path(__file__).parent


class Generator(StrEnum):
    WRK = "wrk"
    LOCUST = "locust"

    @classmethod
    def installed(cls) -> "Generator":
        return cls.WRK if shutil.which("wrk") else cls.LOCUST


@dataclass(frozen=True, slots=True)
class Job:
    """What to replay: a file of calls from the `first` on, for so many seconds over so many connections."""

    base: str
    method: str
    file: Path
    first: int
    numbers: int
    headers: Mapping[str, str]
    seconds: int
    connections: int


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it: answers in so many seconds, their latency, answers over 399, and broken connections."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


async def run_job(generator: Generator, job: Job) -> Load:
    """Load an application.

    Raises:
        BenchError: the generator itself failed.
    """
    return await (_run_wrk(job) if generator is Generator.WRK else _run_locust(job))


async def _run_wrk(job: Job) -> Load:
    headers = [part for name, value in job.headers.items() for part in ("-H", f"{name}: {value}")]
    # One thread is fewer than the machine has cores, and yet faster than any of the applications.
    options = ["-t1", f"-c{job.connections}", f"-d{job.seconds}s", "--timeout", "20s"]
    script = ["-s", str(_FOLDER / "replay.lua")]
    replay = [job.method, str(job.file), str(job.first), str(job.numbers)]
    output = await _output_of(["wrk", *options, *script, *headers, job.base, "--", *replay])
    results = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not results:
        raise BenchError(f"wrk gave no result:\n{output}")
    return Load(**json.loads(results[0].removeprefix("RESULT ")))


async def _run_locust(job: Job) -> Load:
    users, job_text = str(job.connections), json.dumps(_as_json(job))
    options = ["--headless", "--only-summary", "--json", "--skip-log-setup", "--reset-stats", "--exit-code-on-error=0"]
    command = [sys.executable, "-m", "locust", "-f", str(_FOLDER / "locustfile.py"), *options]
    output = await _output_of([*command, "-u", users, "-r", users, "-t", f"{job.seconds}s"], BENCH_JOB=job_text)
    try:
        (stats,) = json.loads(output[output.index("[") :])
    except ValueError:
        raise BenchError(f"Locust gave no result:\n{output}") from None
    seconds = stats["last_request_timestamp"] - stats["start_time"]
    times = sorted((float(milliseconds), count) for milliseconds, count in stats["response_times"].items())
    return Load(
        stats["num_requests"], seconds, _percentile(times, 0.50), _percentile(times, 0.99), stats["num_failures"], 0
    )


def _as_json(job: Job) -> dict[str, object]:
    return {
        "base": job.base,
        "method": job.method,
        "file": str(job.file),
        "first": job.first,
        "numbers": job.numbers,
        "headers": dict(job.headers),
    }


def _percentile(times: Sequence[tuple[float, int]], share: float) -> float:
    left = share * sum(count for _, count in times)
    for milliseconds, count in times:
        left -= count
        if left <= 0:
            return milliseconds
    return 0.0


async def _output_of(command: Sequence[str], **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise BenchError(f"{command[0]} ended with {process.returncode}:\n{errors.decode(errors='replace')[-2000:]}")
    return output.decode()
