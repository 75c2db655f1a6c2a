"""Redis and RabbitMQ, each on a loopback port of its own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deploy.ports import free_port


class Server:
    """A server that can be stopped and started again, on the same port."""

    def __init__(self, command: list[str], environment: dict[str, str], port: int, seconds: float) -> None:
        self._command = command
        self._environment = environment
        self._port = port
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            env=os.environ | self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + self._seconds
        while not _answers(self._port):
            assert self._process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server takes too long to start"
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, and all that it has started, at once."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[str, Server]]:
    """A Redis that keeps nothing, and where it is."""
    port = free_port()
    command = [_binary("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = Server(command, {}, port, seconds=10)
    server.start()
    try:
        yield f"redis://127.0.0.1:{port}/0", server
    finally:
        server.stop()


@contextmanager
def rabbitmq_server(folder: Path) -> Iterator[tuple[str, Server]]:
    """A RabbitMQ, and where it is."""
    port, distribution, names = free_port(), free_port(), free_port()
    server = Server(
        # Not the command in the path: that one becomes another user.
        [_binary("/usr/lib/rabbitmq/bin/rabbitmq-server")],
        {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"rowhouse{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "true",  # so that it can be ended though its node was killed
        },
        port,
        seconds=60,
    )
    server.start()
    try:
        yield f"amqp://guest:guest@127.0.0.1:{port}/", server
    finally:
        server.stop()
        subprocess.run(["epmd", "-port", str(names), "-kill"], check=False, stdout=subprocess.DEVNULL)


def _binary(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        assert not os.environ.get("CI"), f"{name} is not installed"
        pytest.skip(f"{name} is not installed")
    return found


def _answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
