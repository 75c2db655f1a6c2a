"""Columnar JSON: `{"a": [1, 2], "b": ["x", null]}`.

A column is whole only once all rows are there, so the values wait in a file, a stretch for each column and block.
"""

import tempfile
from collections.abc import Iterator, Sequence

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from service.catalog.result_column import ResultColumn
from service.formats.text import read_text

# JSON never holds these as they are.
_QUOTE, _DELIMITER = "\x01", "\x02"
_IN_MEMORY = 8 * 2**20


class ColumnsEncoder:
    """Takes rows of JSON values."""

    def __init__(self, columns: Sequence[ResultColumn]) -> None:
        self._names = [column.name for column in columns]
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)
        self._stretches: list[list[tuple[int, int]]] = [[] for _ in columns]

    def encode(self, block: bytes) -> Iterator[bytes]:
        if self._names:
            texts = read_text(block, [pa.large_string()] * len(self._names), quote=_QUOTE, delimiter=_DELIMITER)
            for stretches, column in zip(self._stretches, texts.columns, strict=True):
                stretches.append((self._file.tell(), self._file.write(_joined(column.combine_chunks()))))
        yield from ()

    def end(self) -> Iterator[bytes]:
        yield b"{"
        for number, (name, stretches) in enumerate(zip(self._names, self._stretches, strict=True)):
            yield (b"," if number else b"") + orjson.dumps(name) + b":["
            for place, (start, length) in enumerate(stretches):
                self._file.seek(start)
                yield (b"," if place else b"") + self._file.read(length)
            yield b"]"
        yield b"}"

    def close(self) -> None:
        self._file.close()


def _joined(values: pa.Array) -> memoryview:
    whole = pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
    return memoryview(pc.binary_join(whole, pa.scalar(",", values.type))[0].as_buffer())
