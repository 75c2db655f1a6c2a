"""Rows as COPY writes them to columns of Arrow."""

from collections.abc import Sequence

import pyarrow as pa
from pyarrow import csv


def read_text(
    block: bytes, types: Sequence[pa.DataType], *, quote: str = '"', delimiter: str = ",", has_nulls: bool = False
) -> pa.Table:
    """The columns of a block of rows, named by their numbers. With `has_nulls`, nothing is NULL, and `""` a text.

    Raises:
        pa.ArrowInvalid: a value is none of its type.
    """
    names = [str(number) for number in range(len(types))]
    return csv.read_csv(
        pa.BufferReader(block),
        # One block: PostgreSQL sends the next meanwhile, so that all cores have something to do.
        read_options=csv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=False),
        parse_options=csv.ParseOptions(
            delimiter=delimiter, quote_char=quote, newlines_in_values=True, ignore_empty_lines=len(types) > 1
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict(zip(names, types, strict=True)),
            null_values=[""] if has_nulls else [],
            strings_can_be_null=has_nulls,
            quoted_strings_can_be_null=False,
            true_values=["t", "true"],  # of a column, and of an array
            false_values=["f", "false"],
            timestamp_parsers=[csv.ISO8601],
        ),
    )
