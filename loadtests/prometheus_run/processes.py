"""Gunicorn with two workers, `rowhouse worker`, a server of the standby's, and Prometheus."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml

from deploy.ports import free_port
from deploy.prometheus.rules import rules
from loadtests.prometheus_run.clock import shortened

_ROOT = Path(__file__).parents[2]
_KEPT = ("PATH", "HOME", "USER", "LANG", "TMPDIR")


class Program:
    """A program that is started, and stopped or killed, with what it writes in a file."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self._command, self._log = command, folder / f"{name}.log"
        self._environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(environment)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=_ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        assert self.process is not None
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for child in family:
            child.kill()
        self.process.wait(10)
        self.process = None

    def children(self) -> list[int]:
        return [] if self.process is None else [one.pid for one in psutil.Process(self.process.pid).children()]


class Prometheus:
    """Debian's Prometheus, once a second, with the project's rules on a quicker clock."""

    def __init__(self, folder: Path, targets: Mapping[str, list[str]]) -> None:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        (folder / "rules.yml").write_text(rules(shortened))
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": where}]} for job, where in targets.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        options = [f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage"]
        self.program = Program("prometheus", [*command, *options], {}, folder)

    def firing(self) -> set[str]:
        found = self._ask("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}

    def query(self, expression: str) -> list[Any]:
        found: list[Any] = self._ask("query", query=expression)["result"]
        return found

    def exemplars(self, expression: str) -> list[Any]:
        found: Any = self._ask("query_exemplars", query=expression, start=str(time.time() - 600), end=str(time.time()))
        return list(found)

    def _ask(self, path: str, **parameters: str) -> Any:
        answer = httpx2.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=10).json()
        if answer["status"] != "success":
            raise RuntimeError(answer["error"])
        return answer["data"]


def waited(condition: Callable[[], bool], seconds: float) -> float | None:
    """The seconds until it held; None where it did not within so many."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            if condition():
                return time.monotonic() - begun
        except httpx2.HTTPError:
            pass
        time.sleep(0.25)
    return None


PYTHON = sys.executable
