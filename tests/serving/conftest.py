"""Gunicorn as operators start it, over this worker's database."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
import pytest

from deploy.ports import free_port
from service.core.types import Role
from tests.conftest import Database
from tests.waiting import until

_ROOT = Path(__file__).parents[2]
_CONFIGURATION = _ROOT / "deploy" / "gunicorn" / "gunicorn.conf.py"


@dataclass(slots=True)
class Gunicorn:
    """A running master with two workers."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path
    keys: Mapping[Role, str]
    known: int = field(default=0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, role: Role | None = Role.ADMIN) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"X-API-Key": self.keys[role]} if role else {}, timeout=60)

    def workers(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def says(self, text: str) -> int:
        """How often the log says this."""
        return self.log.read_text().count(text)

    def have_begun(self, number: int) -> None:
        """Wait until so many workers have begun in all."""
        until(lambda: self.says("Application startup complete") >= number, 60, self.log.read_text)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(60)


@contextmanager
def gunicorn(database: Database, keys: Mapping[Role, str], folder: Path, **settings: str) -> Iterator[Gunicorn]:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database.service_url,
        "JWT_SECRET": "x" * 40,
        "BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "2",
        "RATE_LIMIT": "1000000",
        "TMPDIR": str(folder),
        "LOG_FORMAT": "json",
        **settings,
    }
    log = folder / "gunicorn.log"
    command = [sys.executable, "-m", "gunicorn", "-c", str(_CONFIGURATION), "service.main:app"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=_ROOT)
    running = Gunicorn(process, port, log, keys)
    try:
        running.have_begun(int(environment["WEB_CONCURRENCY"]))
        yield running
    finally:
        if process.poll() is None:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for member in family:
                member.kill()
            psutil.wait_procs(family, 10)
        process.wait(60)


def require(*programs: str) -> None:
    """Skip where a program is not there; fail where nothing may be skipped."""
    missing = [program for program in programs if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
