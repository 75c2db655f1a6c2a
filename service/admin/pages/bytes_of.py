"""The bytes of a column, as a download."""

from urllib.parse import quote

from starlette.responses import Response

from service.admin.fields import Kind, fields_of
from service.admin.pages.row import read_row
from service.admin.visit import Visit
from service.core.errors import RowNotFound, UnknownColumn


async def download(visit: Visit) -> Response:
    """What a row has in a column of bytes. Never shown by the browser, whatever it is.

    Raises:
        UnknownColumn: the table has no such column of bytes.
        RowNotFound: there is no such row, or it has none.
    """
    resource, key = visit.resource, visit.key
    name = visit.request.query_params.get("column", "")
    field = next((one for one in fields_of(resource) if one.name == name and one.kind is Kind.BYTES), None)
    if field is None:
        raise UnknownColumn(f"There is no column of bytes {name!r}.")
    text = (await read_row(visit, resource, key, only=(field,))).values[name]
    if text is None or not text.startswith("\\x"):
        raise RowNotFound("There are no bytes here: it is NULL.")
    file = quote(f"{resource.name} {key} {name}.bin", safe="")
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{file}",
        "x-content-type-options": "nosniff",
    }
    return Response(bytes.fromhex(text[2:]), media_type="application/octet-stream", headers=headers)
