"""Stands between Rowhouse and PostgreSQL, and lets answers wait when it is told to: a database that has become slow."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

_SOCKET = ".s.PGSQL.5432"


class SlowLink:
    """Hands on what comes from a folder's socket to another's, from a thread. `delay` is in seconds, of each answer."""

    def __init__(self, folder: Path, behind: Path) -> None:
        self.delay = 0.0
        self.folder = folder
        self._behind = behind / _SOCKET
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self.folder.mkdir()
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _serve(self) -> None:
        self._loop.run_until_complete(asyncio.start_unix_server(self._join, str(self.folder / _SOCKET)))
        self._loop.run_forever()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(str(self._behind))
        except OSError:
            writer.close()
            return
        tasks = [asyncio.create_task(self._hand_on(reader, back, is_answer=False))]
        tasks.append(asyncio.create_task(self._hand_on(there, writer, is_answer=True)))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        writer.close()
        back.close()

    async def _hand_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if is_answer and self.delay:
                    await asyncio.sleep(self.delay)
                sink.write(data)
                await sink.drain()
