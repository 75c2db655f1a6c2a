"""What callers do meanwhile: read, write, export, follow, and now and then come with a wrong key."""

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx2

_READERS, _FOLLOWERS = 3, 4
_PAUSE = 0.05


def _traced() -> dict[str, str]:
    """A trace of the caller's, which exemplars then lead to (W3C Trace Context)."""
    return {"traceparent": f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"}


class Load:
    """Bounded: a few threads that wait between two requests. Answers are not judged; Prometheus does that."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = {"X-API-Key": key}
        self._stopped = threading.Event()
        self._threads = [
            *(threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(_READERS)),
            *(threading.Thread(target=self._follow, daemon=True) for _ in range(_FOLLOWERS)),
        ]
        self.sent = 0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()

    @contextmanager
    def calling(self, path: str, callers: int) -> Iterator[None]:
        """So many more callers, who ask for the same again and again until the block ends."""
        stopped = threading.Event()

        def call() -> None:
            with httpx2.Client(base_url=self._url, headers=self._key, timeout=30) as client:
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

    def _ask(self, number: int) -> None:
        """A connection for each request, so that all workers get some."""
        for turn in itertools.count():
            if self._stopped.wait(_PAUSE):
                return
            with suppress(httpx2.HTTPError), httpx2.Client(base_url=self._url, headers=_traced(), timeout=30) as client:
                self._one(client, number, turn)
                self.sent += 1

    def _one(self, client: httpx2.Client, number: int, turn: int) -> None:
        if turn % 40 == 7:
            client.get("/api/v1/airlines", headers={"X-API-Key": "rh_wrong"})
        elif turn % 60 == 11:
            client.post("/api/v1/-/auth/token", data={"username": f"{number}@example.com", "password": "wrong"})
        elif turn % 80 == 17:
            job = self._key | {"Content-Type": "text/csv", "Prefer": "respond-async"}
            client.post("/api/v1/late", content="told\nby a job\n", headers=job)
        elif turn % 20 == 3:
            client.get("/api/v1/airlines?format=csv", headers=self._key)
        elif turn % 5 == 1:
            client.patch(f"/api/v1/airlines/A{number}", json={"name": str(turn)}, headers=self._key)
        elif turn % 30 == 2:
            client.get("/api/v1/rpc/pause?seconds=0.01", headers=self._key)
        else:
            client.get("/api/v1/airlines?limit=5", headers=self._key)

    def _follow(self) -> None:
        headers = self._key | {"Accept": "text/event-stream"}
        while not self._stopped.wait(0.5):
            with suppress(httpx2.HTTPError), httpx2.Client(timeout=httpx2.Timeout(5, read=40)) as client:
                with client.stream("GET", f"{self._url}/api/v1/airlines/-/changes", headers=headers) as answer:
                    for _ in answer.iter_bytes():
                        if self._stopped.is_set():
                            return
