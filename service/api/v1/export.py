"""Reads of a table in the formats of exports: all rows, as a file."""

from urllib.parse import quote

from service.api.v1.exchange import Answer, Request
from service.api.v1.streamed import Streamed
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.core.settings import ExportSettings
from service.crud.export import Exporter
from service.db.copy import Sink
from service.formats.format import Format
from service.observability.metrics import ExportMetrics
from service.query.plan import ReadPlan

_NAME = b"format"
_JSON = "json"
_NAMES = tuple(form.value for form in Format)


class Exports:
    """Exports for HTTP."""

    def __init__(self, exporter: Exporter, settings: ExportSettings, metrics: ExportMetrics) -> None:
        self._exporter = exporter
        self._settings = settings
        self._metrics = metrics

    def answer(self, request: Request, resource: Resource, plan: ReadPlan, form: Format) -> Answer:
        """The rows of a plan, sent while PostgreSQL finds them."""
        request.scope["rowhouse.is_stream"] = True

        async def make(sink: Sink) -> None:
            with self._metrics.observe(form) as export:

                async def counted(data: bytes) -> None:
                    await sink(data)
                    export.bytes += len(data)

                export.rows = await self._exporter.run(plan, request.principal, form, counted)

        answer = Streamed(
            200,
            content_type=content_type(form),
            make=make,
            receive=request.receive,
            idle_seconds=self._settings.export_idle_seconds,
            request_id=request.request_id,
        )
        answer.add(b"content-disposition", disposition(resource.name + form.suffix))
        return answer


def content_type(form: Format) -> bytes:
    is_text = form in (Format.CSV, Format.NDJSON, Format.COLUMNS)
    return (form.media_type + ("; charset=utf-8" if is_text else "")).encode()


def disposition(name: str) -> str:
    """`Content-Disposition` of a file (RFC 6266): the name as it is, and what of it any client can read."""
    plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_. ") else "_" for sign in name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


def without_format(query_string: bytes) -> tuple[bytes, str | None]:
    """A query string without `format=`, and the media type that it stands for.

    A column may have that name: `format=eq.x` is a filter.

    Raises:
        InvalidQuery: there is no such format.
    """
    kept: list[bytes] = []
    media_type: str | None = None
    for part in query_string.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == _NAME and b"." not in value:
            media_type = _media_type(value.decode("latin-1"))
        else:
            kept.append(part)
    return b"&".join(kept), media_type


def _media_type(name: str) -> str:
    if name == _JSON:
        return "application/json"
    if name not in _NAMES:
        raise InvalidQuery(f"There is no format {name[:32]!r}.", hint=f"The formats are {', '.join((_JSON, *_NAMES))}.")
    return Format(name).media_type
