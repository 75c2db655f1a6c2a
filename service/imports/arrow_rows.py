"""Rows of Arrow streams and Parquet files, read by pyarrow in threads, a batch at a time."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

from service.catalog.resource import Resource
from service.core.errors import InvalidBody, RowhouseError, UnsupportedMediaType
from service.db.transaction import CopyFormat
from service.imports.csv_rows import require_distinct
from service.imports.rows import Rows
from service.query.plan import StagedForm

_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_BATCH_ROWS = 8192
# What the rows that are worked on at once may hold: a dictionary of one long text is short, and its rows are not.
_SLICE_BYTES = 8 * 2**20
_HINT = "Send it whole, as pyarrow, arrow (R) or polars write it."


@asynccontextmanager
async def open_arrow(resource: Resource, body: AsyncIterator[bytes]) -> AsyncIterator[Rows]:
    """The rows of an Arrow stream.

    Raises:
        UnsupportedMediaType: pyarrow is not installed.
        InvalidBody: it is no such stream, or does not end as one.
        those of the body.
    """
    _require_pyarrow()
    import pyarrow

    pipe = _Pipe(body, asyncio.get_running_loop())

    def batches() -> tuple[Any, Iterator[Any]]:
        reader = pyarrow.ipc.open_stream(pyarrow.PythonFile(pipe, mode="r"))
        return reader.schema, _until_end(reader, pipe)

    try:
        yield await _opened(resource, batches, pipe)
    finally:
        pipe.close()


@asynccontextmanager
async def open_parquet(resource: Resource, body: AsyncIterator[bytes]) -> AsyncIterator[Rows]:
    """The rows of a Parquet file, which is kept in a temporary file until the block ends: its end is read first.

    Raises: as `open_arrow`.
    """
    _require_pyarrow()
    from pyarrow import parquet

    from service.imports.arrow_sizes import is_text

    with await asyncio.to_thread(tempfile.TemporaryFile) as file:
        async for chunk in body:
            await asyncio.to_thread(file.write, chunk)

        def batches() -> tuple[Any, Iterator[Any]]:
            file.seek(0)
            # As dictionaries, texts that repeat are not multiplied before they are written.
            texts = [field.name for field in parquet.read_schema(file) if is_text(field.type)]
            opened = parquet.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20, read_dictionary=texts)
            return opened.schema_arrow, _sliced(opened.iter_batches(_BATCH_ROWS, use_threads=False))

        yield await _opened(resource, batches, None)


async def _opened(resource: Resource, batches: Callable[[], tuple[Any, Iterator[Any]]], pipe: "_Pipe | None") -> Rows:
    from service.imports.arrow_texts import Texts

    schema, iterator = await _in_thread(batches, pipe)
    require_distinct(list(schema.names))
    texts = Texts(schema, resource)
    return Rows(
        tuple(schema.names),
        _chunks(iterator, texts.csv, pipe),
        StagedForm.FIELDS,
        CopyFormat(null=""),
        nested=texts.nested,
    )


async def _chunks(
    batches: Iterator[Any], render: Callable[[Any, int], bytes], pipe: "_Pipe | None"
) -> AsyncIterator[bytes]:
    row = 1

    def next_chunk() -> tuple[bytes, int] | None:
        batch = next(batches, None)
        return None if batch is None else (render(batch, row), batch.num_rows)

    while (made := await _in_thread(next_chunk, pipe)) is not None:
        chunk, count = made
        row += count
        if chunk:
            yield chunk


def _until_end(reader: Any, pipe: "_Pipe") -> Iterator[Any]:
    """The batches of a stream. A stream that was cut between two of them is no error to pyarrow, but one to us."""
    yield from _sliced(reader)
    if pipe.tail != _END_OF_STREAM or pipe.read(1):
        raise InvalidBody("The Arrow stream does not end with its mark.", hint=_HINT)


def _sliced(batches: Iterable[Any]) -> Iterator[Any]:
    """The same rows, in batches whose texts are few enough to be written out at once; a long row goes alone."""
    from service.imports.arrow_sizes import row_sizes

    for batch in batches:
        start, total = 0, 0
        for place, size in enumerate(row_sizes(batch)):
            if place > start and (total + size > _SLICE_BYTES or place - start == _BATCH_ROWS):
                yield batch.slice(start, place - start)
                start, total = place, 0
            total += size
        if start < batch.num_rows:
            yield batch.slice(start)


async def _in_thread(work: Callable[[], Any], pipe: "_Pipe | None") -> Any:
    import pyarrow

    try:
        return await asyncio.to_thread(work)
    except RowhouseError:
        raise
    except (pyarrow.ArrowException, OSError, EOFError, ValueError, TypeError, KeyError) as error:
        if pipe is not None and pipe.error is not None:
            raise pipe.error from None
        raise InvalidBody(f"The body cannot be read: {_first_line(error)}", hint=_HINT) from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _require_pyarrow() -> None:
    if find_spec("pyarrow") is None:
        raise UnsupportedMediaType("Arrow and Parquet cannot be read here.", hint="Install pyarrow; or send CSV.")


class _Pipe:
    """A file that a thread reads while its bytes arrive in the event loop. `tail` are the last bytes that were read."""

    def __init__(self, body: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._body = body
        self._loop = loop
        self._held = b""
        self._waiting: Future[bytes] | None = None
        self.tail = b""
        self.error: RowhouseError | None = None
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        parts, missing = [], size
        while missing and (part := self._take(missing)):
            parts.append(part)
            missing -= len(part)
        read = b"".join(parts)
        self.tail = (self.tail + read[-len(_END_OF_STREAM) :])[-len(_END_OF_STREAM) :]
        return read

    def close(self) -> None:
        """Nobody reads any more: a thread that waits for bytes stops waiting."""
        self.closed = True
        if self._waiting is not None:
            self._waiting.cancel()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def _take(self, most: int) -> bytes:
        if not self._held:
            self._held = self._next()
        taken = self._held if most < 0 else self._held[:most]
        self._held = self._held[len(taken) :]
        return taken

    def _next(self) -> bytes:
        if self.closed:
            return b""
        self._waiting = asyncio.run_coroutine_threadsafe(self._arrive(), self._loop)
        try:
            return self._waiting.result()
        except CancelledError:
            return b""

    async def _arrive(self) -> bytes:
        try:
            return await anext(self._body, b"")
        except RowhouseError as error:
            self.error = error
            return b""
