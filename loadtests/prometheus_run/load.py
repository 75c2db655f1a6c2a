"""Callers of the service: Locust's users, and more of them for a while."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

_ROOT = Path(__file__).parents[2]
_LOCUSTFILE = Path(__file__).parent / "locustfile.py"
_PAUSE = 0.05
_LONGEST = "1h"


class Load:
    """Locust, which stops by itself after an hour."""

    def __init__(self, url: str, key: str, folder: Path) -> None:
        self._url = url
        self._key = key
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.sent = 0

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless", "--host", self._url),
            *("--users", "7", "--spawn-rate", "7", "--run-time", _LONGEST, "--stop-timeout", "1"),
            *("--json-file", str(self._folder / "locust"), "--loglevel", "ERROR"),
        ]
        with (self._folder / "locust.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,  # Locust reads locust.conf and pyproject.toml where it stands
                env=os.environ | {"LOAD_KEY": self._key, "PYTHONPATH": str(_ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End it, and count what it has sent."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        with suppress(FileNotFoundError):
            self.sent = sum(one["num_requests"] for one in json.loads((self._folder / "locust.json").read_text()))

    @contextmanager
    def calling(self, path: str, callers: int) -> Iterator[None]:
        """So many more callers, who ask for the same again and again until the block ends."""
        stopped = threading.Event()

        def call() -> None:
            with httpx2.Client(base_url=self._url, headers={"X-API-Key": self._key}, timeout=30) as client:
                while not stopped.wait(_PAUSE):
                    with suppress(httpx2.HTTPError):
                        client.get(path)

        threads = [threading.Thread(target=call, daemon=True) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopped.set()
            for thread in threads:
                thread.join(30)
