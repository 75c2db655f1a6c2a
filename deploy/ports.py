"""Ports for servers that are tried on this machine."""

import socket
from contextlib import suppress
from random import SystemRandom

# Below those that systems give to connections: such a connection would take the port before its server does.
_PORTS = range(10_000, 32_768)


def free_port() -> int:
    """One that nobody listens on, and that nobody else who asks meanwhile is likely to get."""
    random = SystemRandom()
    while True:
        port = random.choice(_PORTS)
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port
