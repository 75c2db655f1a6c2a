"""Ranges of bytes (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

from service.core.errors import RangeNotSatisfiable

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """From the first byte to the last one, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def asks_for_bytes(header: str | None) -> bool:
    """Whether `Range` names a range of bytes. Several at once are passed over, as the RFC allows."""
    return header is not None and _ONE.fullmatch(header.strip()) is not None


def byte_range(header: str, size: int) -> ByteRange | None:
    """The part of a file that `Range` names; None where that is no range.

    Raises:
        RangeNotSatisfiable: it has none of the file's bytes.
    """
    match = _ONE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        first, last = max(size - int(match[2]), 0), size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
    if match[1] and match[2] and int(match[2]) < int(match[1]):
        return None
    if first >= size or last < first:
        raise RangeNotSatisfiable(
            "Requested range not satisfiable", details=f"The file has {size} bytes.", total=size, unit="bytes"
        )
    return ByteRange(first, last)
