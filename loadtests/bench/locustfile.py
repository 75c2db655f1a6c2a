"""Replays a file of requests with Locust, as `replay.lua` does with wrk. It is told which by the environment."""

import itertools
import json
import os
from pathlib import Path

from locust import FastHttpUser, constant, task

_JOB = json.loads(os.environ["BENCH_JOB"])
_LINES = [line.split("\t") for line in Path(_JOB["file"]).read_text().splitlines()]
_NUMBERS = itertools.count(_JOB["first"])


class Replay(FastHttpUser):
    wait_time = constant(0)
    host = _JOB["base"]

    @task
    def call(self) -> None:
        number = next(_NUMBERS)
        path, body = _LINES[number % len(_LINES)]
        data = body.replace("{n}", str(number % _JOB["numbers"])) or None
        self.client.request(_JOB["method"], path, name="all", data=data, headers=_JOB["headers"], allow_redirects=False)
