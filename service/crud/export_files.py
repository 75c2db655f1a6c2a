"""Exports that are read in ranges: files that stay as they are while somebody reads them.

A file's name says which read it is, so processes that share a folder share its files. It was made at its `mtime`, and
last read at its `atime`.
"""

import asyncio
import os
import stat
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from service.core.errors import ConfigurationError, LimitExceeded
from service.core.settings import ExportSettings
from service.db.copy import Sink

_UNFINISHED = ".part"
# A read asks again within so many seconds; who asks later begins another, and wants the rows as they are then.
_PAUSE = 10.0


@dataclass(frozen=True, slots=True)
class ExportFile:
    """An open file; whoever has it closes it. `made_at` is in nanoseconds since 1970."""

    descriptor: int
    size: int
    made_at: int

    def read(self, start: int, length: int) -> bytes:
        return os.pread(self.descriptor, length, start)

    def close(self) -> None:
        os.close(self.descriptor)


class ExportFiles:
    """The files in the folder of this service."""

    def __init__(self, settings: ExportSettings) -> None:
        self._folder = settings.export_dir or Path(tempfile.gettempdir()) / f"rowhouse-{os.getuid()}"
        self._keep_seconds = settings.export_file_seconds
        self._most_bytes = settings.export_disk_bytes
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self, name: str, make: Callable[[Sink], Awaitable[object]], *, goes_on: bool) -> ExportFile:
        """The file of that name; it is made where it is not there.

        With `goes_on`, the caller has read of it before. Else a read begins, and one that is old, or that nobody has
        just read, is made anew.

        Raises:
            LimitExceeded: there is no room for it.
            ConfigurationError: the folder is open to others.
            What `make` raises.
        """
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            found = await asyncio.to_thread(self._find, name, goes_on=goes_on)
            return found or await self._make(name, make)

    async def _make(self, name: str, make: Callable[[Sink], Awaitable[object]]) -> ExportFile:
        room = await asyncio.to_thread(self._clear)
        path = self._folder / f"{name}.{os.getpid()}{_UNFINISHED}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        size = 0

        async def write(data: bytes) -> None:
            nonlocal size
            size += len(data)
            if size > room:
                raise LimitExceeded(
                    "There is no room for so large a file.", hint="Read it at once, without a range.", code="no_room"
                )
            await asyncio.to_thread(_write_all, descriptor, data)

        try:
            await make(write)
            path.replace(self._folder / name)
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return ExportFile(descriptor, size, os.fstat(descriptor).st_mtime_ns)

    def _find(self, name: str, *, goes_on: bool) -> ExportFile | None:
        """An open file that was read not long ago, and is read now."""
        try:
            descriptor = os.open(self._folder / name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        known, now = os.fstat(descriptor), time.time_ns()
        unread, age = now - max(known.st_atime_ns, known.st_mtime_ns), now - known.st_mtime_ns
        is_over = unread > self._keep_seconds * 1e9
        if is_over or not (goes_on or (unread < _PAUSE * 1e9 and age < self._keep_seconds * 1e9)):
            os.close(descriptor)
            return None
        os.utime(descriptor, ns=(now, known.st_mtime_ns))
        return ExportFile(descriptor, known.st_size, known.st_mtime_ns)

    def _clear(self) -> int:
        """Remove what nobody has read for long; how many bytes there is room for."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = self._folder.lstat()
        if known.st_uid != os.getuid() or known.st_mode & 0o077 or not stat.S_ISDIR(known.st_mode):
            raise ConfigurationError(f"EXPORT_DIR must belong to the service alone: {self._folder}")
        taken, now = 0, time.time()
        for entry in _entries(self._folder):
            with suppress(FileNotFoundError):
                known = entry.stat()
                if now - max(known.st_atime, known.st_mtime) > self._keep_seconds:
                    os.unlink(entry.path)
                else:
                    taken += known.st_size
        return self._most_bytes - taken


def _entries(folder: Path) -> Iterable[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
