"""Arrow's IPC stream and Parquet, a block of rows after another."""

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from service.catalog.result_column import ResultColumn
from service.core.errors import NotAcceptable
from service.formats.arrow_types import arrow_type
from service.formats.format import Format
from service.formats.text import read_text

_AT_FAULT = re.compile(r"In CSV column #(\d+)")


class _Batches:
    """Blocks of rows to batches of one schema."""

    def __init__(self, columns: Sequence[ResultColumn], form: Format) -> None:
        self._columns = columns
        self._types = [arrow_type(column, form) for column in columns]
        fields = zip(columns, self._types, strict=True)
        self.schema = pa.schema([pa.field(column.name, kind.type) for column, kind in fields])

    def of(self, block: bytes) -> pa.RecordBatch:
        """Raises: NotAcceptable, a value has no place in its column's type."""
        if not self._types:  # rows of nothing, which Arrow cannot count
            return pa.record_batch([], schema=self.schema)
        try:
            texts = read_text(block, [kind.read for kind in self._types], has_nulls=True)
        except pa.ArrowInvalid as error:
            raise self._unfit(int(match[1]) if (match := _AT_FAULT.search(str(error))) else None) from None
        arrays = [self._converted(number, texts.column(number).combine_chunks()) for number in range(len(self._types))]
        return pa.record_batch(arrays, schema=self.schema)

    def _converted(self, number: int, values: pa.Array) -> pa.Array:
        try:
            return self._types[number].of(values)
        except (pa.ArrowInvalid, OverflowError):
            raise self._unfit(number) from None

    def _unfit(self, number: int | None) -> NotAcceptable:
        """The value itself is not told: it is nobody's but the caller's."""
        if number is None:
            return NotAcceptable("The rows cannot be written as Arrow.", code="unrepresentable")
        name, kind = self._columns[number].name, self.schema.field(number).type
        return NotAcceptable(
            f"Column {name!r} has a value that Arrow's {kind} cannot hold.",
            hint=f"Select it as a text: select={name}::text",
            code="unrepresentable",
        )


class _Pieces:
    """A file of which each piece is taken as soon as it is written."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def take(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        if pieces:
            yield b"".join(pieces)


class _Encoder:
    """Sends what its writer has written so far. The writer writes into `pieces`."""

    def __init__(
        self, batches: _Batches, pieces: _Pieces, writer: pa.ipc.RecordBatchStreamWriter | ParquetWriter
    ) -> None:
        self._batches = batches
        self._pieces = pieces
        self._writer = writer

    def encode(self, block: bytes) -> Iterator[bytes]:
        self._writer.write_batch(self._batches.of(block))
        yield from self._pieces.take()

    def end(self) -> Iterator[bytes]:
        self._writer.close()
        yield from self._pieces.take()

    def close(self) -> None:
        """It holds nothing."""


class StreamEncoder(_Encoder):
    """Arrow's IPC stream (Arrow Columnar Format, "IPC Streaming Format")."""

    def __init__(self, columns: Sequence[ResultColumn]) -> None:
        batches, pieces = _Batches(columns, Format.ARROW), _Pieces()
        super().__init__(batches, pieces, pa.ipc.new_stream(pieces, batches.schema))


class ParquetEncoder(_Encoder):
    """Parquet, a row group for each block."""

    def __init__(self, columns: Sequence[ResultColumn]) -> None:
        batches, pieces = _Batches(columns, Format.PARQUET), _Pieces()
        super().__init__(batches, pieces, ParquetWriter(pieces, batches.schema))
