"""What callers do meanwhile: read, write, export, follow, and now and then come with a wrong key.

Answers are not judged; Prometheus does that. The key comes from the environment: LOAD_KEY.
"""

import itertools
import os
from typing import ClassVar

import requests
from locust import FastHttpUser, HttpUser, constant, task

_KEY = {"X-API-Key": os.environ.get("LOAD_KEY", "")}
_numbers = itertools.count()


class Caller(FastHttpUser):
    """A connection for each request, so that all workers get some; and a trace, which exemplars then lead to (W3C
    Trace Context).
    """

    wait_time = constant(0.05)
    fixed_count = 3

    def on_start(self) -> None:
        self._number = next(_numbers)

    @task(176)
    def read(self) -> None:
        self._call("GET", "/api/v1/airlines?limit=5")

    @task(56)
    def write(self) -> None:
        self._call("PATCH", f"/api/v1/airlines/A{self._number}", json={"name": str(next(_numbers))})

    @task(16)
    def export(self) -> None:
        self._call("GET", "/api/v1/airlines?format=csv")

    @task(12)
    def wait_for_a_function(self) -> None:
        self._call("GET", "/api/v1/rpc/pause?seconds=0.01")

    @task(8)
    def come_with_a_wrong_key(self) -> None:
        self._call("GET", "/api/v1/airlines", headers={"X-API-Key": "rh_wrong"})

    @task(1)  # of 273: nobody guesses passwords here
    def log_in_with_a_wrong_password(self) -> None:
        person = {"username": f"{self._number}@example.com", "password": "wrong"}
        self._call("POST", "/api/v1/-/auth/token", data=person)

    @task(4)
    def leave_an_import(self) -> None:
        headers = _KEY | {"Content-Type": "text/csv", "Prefer": "respond-async"}
        self._call("POST", "/api/v1/late", data="told\nby a job\n", headers=headers)

    def _call(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] = _KEY,
        json: object = None,
        data: str | dict[str, str] | None = None,
    ) -> None:
        sent = {**headers, "Connection": "close", "traceparent": f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"}
        self.client.request(method, path, headers=sent, json=json, data=data)


class Follower(HttpUser):
    """Takes every change, as server-sent events, and comes again when the stream ends."""

    wait_time = constant(0.5)
    fixed_count = 4
    _ACCEPT: ClassVar = {"Accept": "text/event-stream"}

    @task
    def follow(self) -> None:
        try:
            with self.client.get(
                "/api/v1/airlines/-/changes", headers=_KEY | self._ACCEPT, stream=True, timeout=(5, 40)
            ) as answer:
                for _ in answer.iter_content(1024):
                    pass
        except requests.RequestException:
            return
