"""Texts of PostgreSQL to values of Arrow, a column at a time."""

import re
from collections.abc import Callable

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from service.formats.text import read_text

_INTERVAL = re.compile(
    r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d+))?S)?)?"
)
_NIL = "0" * 32


def uuids(values: pa.Array) -> pa.Array:
    digits = pc.replace_substring(pc.fill_null(values, _NIL), "-", "")
    raw = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(values), [None, _unhexed(digits)])
    return pa.ExtensionArray.from_storage(pa.uuid(), _with_nulls_of(values, raw))


def binaries(values: pa.Array) -> pa.Array:
    r"""Of hexadecimal digits behind `\x`."""
    digits = pc.replace_substring(pc.fill_null(values, ""), "\\x", "")
    ends = pa.Int32Array.from_buffers(pa.int32(), len(digits) + 1, [None, digits.buffers()[1]], offset=digits.offset)
    starts = pc.subtract(ends, ends[0])
    halves = pc.divide(starts, pa.scalar(2, pa.int32())).buffers()[1]
    raw = pa.BinaryArray.from_buffers(pa.binary(), len(values), [None, halves, _unhexed(digits)])
    return _with_nulls_of(values, raw)


def dictionary(values: pa.Array, labels: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pc.index_in(values, value_set=labels), labels)


def intervals(values: pa.Array) -> pa.Array:
    """Of ISO 8601 as PostgreSQL writes it."""
    return pa.array([_interval(value) for value in values.to_pylist()], pa.month_day_nano_interval())


def lists(values: pa.Array, depth: int, read: pa.DataType, convert: Callable[[pa.Array], pa.Array] | None) -> pa.Array:
    """Of JSON arrays of texts, as many within one another as `depth` says."""
    kind: pa.DataType = pa.string()
    for _ in range(depth):
        kind = pa.list_(kind)
    parsed = [None if value is None else orjson.loads(value) for value in values.to_pylist()]
    return _with_leaves(pa.array(parsed, kind), depth, lambda leaves: _leaves(leaves, read, convert))


def _leaves(leaves: pa.Array, read: pa.DataType, convert: Callable[[pa.Array], pa.Array] | None) -> pa.Array:
    if read != pa.string():
        lines = "".join(f"{'' if value is None else value}\n" for value in leaves.to_pylist())
        leaves = (
            read_text(lines.encode(), [read], has_nulls=True).column(0).combine_chunks()
            if lines
            else (pa.array([], read))
        )
    return leaves if convert is None else convert(leaves)


def _with_leaves(values: pa.ListArray, depth: int, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    inner = change(values.values) if depth == 1 else _with_leaves(values.values, depth - 1, change)
    return pa.ListArray.from_arrays(values.offsets, inner, mask=values.is_null())


def _unhexed(digits: pa.StringArray) -> pa.Buffer:
    """The bytes of all texts, one behind the other."""
    whole = pa.ListArray.from_arrays(pa.array([0, len(digits)], pa.int32()), digits)
    return pa.py_buffer(bytes.fromhex(pc.binary_join(whole, "")[0].as_py()))


def _with_nulls_of(values: pa.Array, filled: pa.Array) -> pa.Array:
    if values.null_count == 0:
        return filled
    return pc.if_else(values.is_valid(), filled, pa.scalar(None, filled.type))


def _interval(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    match = _INTERVAL.fullmatch(text)
    if match is None:  # infinity
        raise pa.ArrowInvalid("no interval of months, days and nanoseconds")
    years, months, days, hours, minutes = (int(part or 0) for part in match.groups()[:5])
    seconds = int(match[7] or 0) * 10**9 + int((match[8] or "").ljust(9, "0"))
    nanoseconds = (hours * 3600 + minutes * 60) * 10**9 + (-seconds if match[6] else seconds)
    return years * 12 + months, days, nanoseconds
