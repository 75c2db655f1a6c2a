"""Drives @supabase/postgrest-js in a process of Node's own."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

_SOURCE = Path(__file__).parent / "postgrest_js"
_FOLDER = Path(__file__).parents[2] / "build" / "postgrest_js"
_INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client made of the answer, as it tells callers."""

    data: Any
    error: dict[str, Any] | None
    count: int | None
    status: int
    thrown: dict[str, Any] | None = None


class Chain:
    """Calls of the client's methods by their names, `_` behind those that are words of Python; `ask()` sends them."""

    def __init__(self, send: Callable[[list[list[Any]]], Answer], calls: tuple[list[Any], ...] = ()) -> None:
        self._send = send
        self._calls = calls

    def __getattr__(self, name: str) -> "Callable[..., Chain]":
        return lambda *given: Chain(self._send, (*self._calls, [name.rstrip("_"), *given]))

    def ask(self) -> Answer:
        return self._send(list(self._calls))

    def found(self) -> Any:
        """The data, where there is no error."""
        answer = self.ask()
        assert answer.error is None, answer.error
        assert answer.thrown is None, answer.thrown
        return answer.data

    def refused(self) -> dict[str, Any]:
        """The error, where there is one."""
        answer = self.ask()
        assert answer.error is not None, answer
        assert answer.data is None
        return answer.error


def installed() -> Path:
    """The folder with the driver and the client, installed there where it is not; skips where that cannot be."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        _leave("node and npm are not installed")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (_SOURCE / "package.json").read_text()
        marker = _FOLDER / "installed.json"
        if not marker.exists() or marker.read_text() != wanted:
            shutil.copy(_SOURCE / "package.json", _FOLDER)
            done = subprocess.run(_INSTALL, cwd=_FOLDER, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                _leave(f"npm could not install the client: {done.stderr}")
            marker.write_text(wanted)
        shutil.copy(_SOURCE / "driver.mjs", _FOLDER)
    return _FOLDER


@contextmanager
def javascript(url: str, key: str) -> Iterator[Chain]:
    """A client of the API at `url`, in the schema `library`."""
    with subprocess.Popen(
        ["node", "driver.mjs", url, key], cwd=installed(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def send(calls: list[list[Any]]) -> Answer:
            questions.write(json.dumps({"calls": calls}) + "\n")
            questions.flush()
            got = json.loads(answers.readline())
            if "thrown" in got:
                return Answer(None, None, None, 0, got["thrown"])
            return Answer(got["data"], got["error"], got["count"], got["status"])

        yield Chain(send)
        questions.close()


def _leave(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
