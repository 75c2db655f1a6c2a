"""Which rows of a list an answer holds: the `Range` of a request (RFC 9110, section 14) and the range of the answer."""

import re
from dataclasses import replace

from service.api.v1.exchange import Request
from service.core.errors import RangeNotSatisfiable
from service.query.parse.request import Query
from service.query.plan import Bind

_RANGE = re.compile(r"(?:items=)?(\d{1,18})-(\d{1,18})?")


def narrowed(query: Query, request: Request) -> Query:
    """The query within the rows that `Range` names. It counts for GET alone. One that cannot be read is passed
    over, as the RFC asks.

    Raises:
        RangeNotSatisfiable: it ends before it begins.
    """
    header = request.header(b"range")
    match = _RANGE.fullmatch(header.strip()) if header is not None and request.method == "GET" else None
    if match is None or query.plan.after is not None:
        return query
    first = int(match[1])
    limit = query.limit
    if match[2] is not None:
        if int(match[2]) < first:
            raise RangeNotSatisfiable(
                "Requested range not satisfiable",
                details="The lower boundary must be lower than or equal to the upper boundary in the Range header.",
            )
        limit = min(limit, int(match[2]) - first + 1)
    position = query.position + first
    plan = replace(query.plan, limit=Bind(str(limit)), offset=Bind(str(position)) if position else None)
    return replace(query, plan=plan, limit=limit, position=position)


def content_range(position: int, rows: int, total: int | None) -> str:
    """`Content-Range` of rows from a position on; `*` for what is not known, or where there are none."""
    span = f"{position}-{position + rows - 1}" if rows else "*"
    return f"{span}/{'*' if total is None else total}"


def status_of(position: int, rows: int, total: int | None) -> int:
    """206 for a part of the rows that were counted.

    Raises:
        RangeNotSatisfiable: the range begins behind the last row.
    """
    if total is None:
        return 200
    if position > total:
        raise RangeNotSatisfiable(
            "Requested range not satisfiable",
            details=f"An offset of {position} was requested, but there are only {total} rows.",
            total=total,
        )
    return 206 if rows < total else 200
