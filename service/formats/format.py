"""The formats of exports: their names, media types and file endings."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Format(StrEnum):
    """By the name that `?format=` knows. A SHEET is CSV in which no text is a formula to a spreadsheet."""

    CSV = "csv"
    NDJSON = "ndjson"
    COLUMNS = "columns"
    ARROW = "arrow"
    PARQUET = "parquet"
    SHEET = "sheet"

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self]

    @property
    def suffix(self) -> str:
        """The ending of a file's name."""
        return _SUFFIXES[self]

    @property
    def is_columnar(self) -> bool:
        """Whether Arrow's types are needed to write it."""
        return self in (Format.ARROW, Format.PARQUET)


_MEDIA_TYPES: Mapping[Format, str] = MappingProxyType(
    {
        Format.CSV: "text/csv",
        Format.NDJSON: "application/x-ndjson",
        Format.COLUMNS: "application/vnd.rowhouse.columns+json",
        Format.ARROW: "application/vnd.apache.arrow.stream",
        Format.PARQUET: "application/vnd.apache.parquet",
        Format.SHEET: "application/vnd.rowhouse.sheet+csv",
    }
)
_SUFFIXES: Mapping[Format, str] = MappingProxyType(
    {
        Format.CSV: ".csv",
        Format.NDJSON: ".ndjson",
        Format.COLUMNS: ".json",
        Format.ARROW: ".arrows",
        Format.PARQUET: ".parquet",
        Format.SHEET: ".csv",
    }
)
