"""Opens a body as rows, whatever it is written in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.catalog.resource import Resource
from service.imports.csv_rows import open_csv
from service.imports.object_rows import open_objects
from service.imports.order import Format, Order
from service.imports.rows import Rejections, Rows


@asynccontextmanager
async def open_rows(
    order: Order, resource: Resource, body: AsyncIterator[bytes], rejections: Rejections
) -> AsyncIterator[Rows]:
    """The rows, as far as is needed to know their columns; the rest is read as the rows are taken, within the block.

    Raises:
        InvalidBody: it cannot be read as what it is said to be.
        UnsupportedMediaType: what reads it is not installed.
        those of the body.
    """
    match order.format:
        case Format.CSV:
            yield await open_csv(body, order.null, rejections)
        case Format.NDJSON:
            yield await open_objects(body, order.columns, rejections)
        case Format.ARROW | Format.PARQUET:
            from service.imports.arrow_rows import open_arrow, open_parquet

            opened = open_arrow if order.format is Format.ARROW else open_parquet
            async with opened(resource, body) as rows:
                yield rows
