"""Instances of Rowhouse on Gunicorn, each with a role of its own in the database."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import asyncpg
import httpx2
import psutil

from deploy.ports import free_port

ROOT = Path(__file__).parents[2]
_CONFIGURATION = ROOT / "deploy" / "gunicorn" / "gunicorn.conf.py"
_READY_SECONDS = 90.0
_STEP_SECONDS = 0.1


@dataclass(slots=True)
class Instance:
    """Gunicorn with its workers. `role` is its own, so that its connections can be told from others'."""

    role: str
    url: str
    folder: Path
    workers: int = 2
    drain_delay: float = 5.0
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.role}.log"

    def start(self, *options: str) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.url,
            "JWT_SECRET": "rolling-rolling-rolling-rolling-rolling",
            "DATA_DIR": str(self.folder),
            "ANONYMOUS_ROLE": "admin",
            "RATE_LIMIT": "100000000",
            "ACCESS_LOG": "false",
            "BIND": f"127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": str(self.workers),
            "DRAIN_DELAY_SECONDS": str(self.drain_delay),
            "FORWARDED_ALLOW_IPS": "127.0.0.1",
            "FEED_MAX_CONNECTIONS": "1000",
        }
        command = [sys.executable, "-m", "gunicorn", "-c", str(_CONFIGURATION), *options, "service.main:app"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)

    async def is_ready(self, since: int = 0) -> None:
        """Wait until `workers` of them have begun since that place in the log, and one says that it is ready.

        Raises:
            RuntimeError: it does not come to pass.
        """
        deadline = monotonic() + _READY_SECONDS
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=5) as client:
            while monotonic() < deadline:
                await asyncio.sleep(_STEP_SECONDS)
                if self.begun(since) < self.workers:
                    continue
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        return
                except httpx2.TransportError:
                    pass
        raise RuntimeError(f"{self.role} is not ready; see {self.log}")

    def begun(self, since: int) -> int:
        """How many workers have begun since that place in the log."""
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read().count(b"Application startup complete")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def stop(self) -> float:
        """Tell it to stop, and wait until it has: so many seconds."""
        assert self.process is not None
        started = monotonic()
        self.signal(signal.SIGTERM)
        await asyncio.to_thread(self.process.wait, 90)
        return monotonic() - started

    async def restart(self) -> float:
        """Stop it and start it again; the seconds that stopping took."""
        seconds = await self.stop()
        since = self.log.stat().st_size
        self.start()
        await self.is_ready(since)
        return seconds

    def worker_ids(self) -> list[int]:
        assert self.process is not None
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def kill(self) -> None:
        """Whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
            for member in family:
                member.kill()
            psutil.wait_procs(family, 10)


async def connections_of(role: str, url: str) -> int:
    """Connections that PostgreSQL has of the role."""
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("select count(*) from pg_stat_activity where usename = $1", role))
    finally:
        await connection.close()
