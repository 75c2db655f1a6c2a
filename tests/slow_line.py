"""A line to PostgreSQL that can be made slow: TCP on loopback, to the server's socket."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class SlowLine:
    """`seconds` is how much later each answer comes."""

    server: Path
    seconds: float = 0.0
    port: int = 0
    _ends: list[socket.socket] = field(default_factory=list)

    def url(self, role: str, database: str) -> str:
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                backend = socket.socket(socket.AF_UNIX)
                backend.connect(str(self.server / ".s.PGSQL.5432"))
                self._ends += [client, backend]
                for source, target, is_answer in ((client, backend, False), (backend, client, True)):
                    threading.Thread(target=self._carry, args=(source, target, is_answer), daemon=True).start()

    def close(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _carry(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_answer:
                    time.sleep(self.seconds)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def slow_line(server: Path) -> Iterator[SlowLine]:
    line = SlowLine(server)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line.port = listener.getsockname()[1]
        threading.Thread(target=line.accept, args=(listener,), daemon=True).start()
        yield line
        listener.shutdown(socket.SHUT_RDWR)
    line.close()
