"""Reads of a table in the formats of exports: all rows, as a file."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from service.api.v1.byte_range import asks_for_bytes
from service.api.v1.exchange import Answer, Request
from service.api.v1.file_answer import FileAnswer
from service.api.v1.streamed import Streamed
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.core.settings import ExportSettings
from service.crud.export import Exporter
from service.crud.export_files import ExportFiles
from service.db.copy import Sink
from service.formats.format import Format
from service.observability.metrics import ExportMetrics
from service.query.plan import ReadPlan

_NAME = b"format"
_JSON = "json"
_NAMES = tuple(form.value for form in Format)


class Exports:
    """Exports for HTTP."""

    def __init__(
        self, exporter: Exporter, files: ExportFiles, settings: ExportSettings, metrics: ExportMetrics
    ) -> None:
        self._exporter = exporter
        self._files = files
        self._settings = settings
        self._metrics = metrics

    def answer(self, request: Request, resource: Resource, plan: ReadPlan, form: Format) -> Answer:
        """The rows of a plan, sent while PostgreSQL finds them; or from a file, where a part of it is asked for, or how
        long it is.
        """
        request.scope["rowhouse.is_stream"] = True

        async def make(sink: Sink) -> None:
            with self._metrics.observe(form) as export:

                async def counted(data: bytes) -> None:
                    await sink(data)
                    export.bytes += len(data)

                export.rows = await self._exporter.run(plan, request.principal, form, counted)

        is_file = form is Format.PARQUET
        if is_file and (request.method == "HEAD" or asks_for_bytes(request.header(b"range"))):
            answer = self._of_file(request, plan, make)
        else:
            answer = Streamed(
                200,
                content_type=content_type(form),
                make=make,
                receive=request.receive,
                idle_seconds=self._settings.export_idle_seconds,
                request_id=request.request_id,
            )
            if is_file:
                answer.add(b"accept-ranges", "bytes")
        answer.add(b"content-disposition", disposition(resource.name + form.suffix))
        return answer

    def _of_file(self, request: Request, plan: ReadPlan, make: Callable[[Sink], Awaitable[None]]) -> Answer:
        """A link has a file of its own, which stays the same as long as it is read.

        Else a read begins with a HEAD, or at the end of the file, where Parquet tells what is where.
        """
        link = request.scope.get("rowhouse.link", "")
        begins = request.method == "HEAD" or (request.header(b"range") or "").strip().startswith("bytes=-")
        name = self._exporter.identity(plan, request.principal) + link
        return FileAnswer(
            200,
            content_type=content_type(Format.PARQUET),
            open=lambda: self._files.open(name, make, goes_on=bool(link) or not begins),
            name=name,
            request=request,
            idle_seconds=self._settings.export_idle_seconds,
        )


def content_type(form: Format) -> bytes:
    is_text = form in (Format.CSV, Format.NDJSON, Format.COLUMNS, Format.SHEET)
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
