"""How large rows of Arrow are when they are written out, as far as that is not the same for all."""

import struct
from collections.abc import Sequence
from typing import Any

import pyarrow
import pyarrow.compute as compute
import pyarrow.types as kinds

_VIEW_BYTES = 16


def is_text(kind: Any) -> bool:
    """Whether values of this type may be of any length, and can be read as a dictionary."""
    return bool(kinds.is_string(kind) or kinds.is_binary(kind))


def row_sizes(batch: Any) -> Sequence[int]:
    """The bytes of each row's texts, bytes, lists and structs: what else there is, is short."""
    total = None
    for column in batch.columns:
        sizes = _sizes(column)
        if sizes is not None:
            total = sizes if total is None else compute.add(total, sizes)
    return [0] * batch.num_rows if total is None else list(total.to_pylist())


def _sizes(column: Any) -> Any:
    """As an array of 64-bit integers without NULL."""
    kind = column.type
    if isinstance(kind, pyarrow.BaseExtensionType):
        return _sizes(column.storage)
    if kinds.is_dictionary(kind):
        values = _sizes(column.dictionary)
        return None if values is None else _filled(compute.take(values, column.indices))
    if kinds.is_nested(kind):  # value by value would take longer than it is worth
        return pyarrow.repeat(pyarrow.scalar(column.nbytes // max(len(column), 1)), len(column))
    if kinds.is_string_view(kind) or kinds.is_binary_view(kind):
        return _of_views(column)
    if is_text(kind) or kinds.is_large_string(kind) or kinds.is_large_binary(kind):
        return _filled(compute.binary_length(column))
    return None


def _filled(sizes: Any) -> Any:
    return compute.fill_null(sizes.cast(pyarrow.int64()), 0)


def _of_views(column: Any) -> Any:
    """The lengths that views begin with (Arrow columnar format, variable-size binary view layout)."""
    views, start = memoryview(column.buffers()[1]), column.offset * _VIEW_BYTES
    lengths = (struct.unpack_from("<i", views, start + place * _VIEW_BYTES)[0] for place in range(len(column)))
    return pyarrow.array(lengths, pyarrow.int64())
