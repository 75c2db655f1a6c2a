"""Which representation a caller accepts (RFC 9110, section 12.5.1), in the media types of PostgREST."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from service.catalog import handler
from service.catalog.handler import Handler
from service.core.errors import NotAcceptable
from service.formats.format import Format
from service.query.compile import call, read, write
from service.query.compile.statement import Statement
from service.query.plan import CallPlan, ReadPlan, WritePlan
from service.query.walk import output_names


class Media(StrEnum):
    JSON = "application/json"
    ARRAY = "application/vnd.pgrst.array+json"
    OBJECT = "application/vnd.pgrst.object+json"
    CSV = "text/csv"
    NDJSON = "application/x-ndjson"
    COLUMNS = "application/vnd.rowhouse.columns+json"
    ARROW = "application/vnd.apache.arrow.stream"
    PARQUET = "application/vnd.apache.parquet"
    SHEET = "application/vnd.rowhouse.sheet+csv"
    GEOJSON = "application/geo+json"
    PLAN = "application/vnd.pgrst.plan+text"
    JSON_PLAN = "application/vnd.pgrst.plan+json"
    TEXT = "text/plain"
    BYTES = "application/octet-stream"
    OWN = "*/*"  # of the database's own making


_ALIASES = {
    "*/*": Media.JSON,
    "application/*": Media.JSON,
    "text/*": Media.CSV,
    "application/ndjson": Media.NDJSON,
    "application/jsonl": Media.NDJSON,
    "application/vnd.pgrst.object": Media.OBJECT,
    "application/vnd.pgrst.array": Media.ARRAY,
    "application/vnd.pgrst.plan": Media.PLAN,
} | {media.value: media for media in Media if media is not Media.OWN}
_NONE: Mapping[str, Handler] = MappingProxyType({})
_VENDORED = "application/vnd.pgrst."
_WITH_CHARSET = (Media.JSON, Media.CSV, Media.GEOJSON, Media.TEXT, "text/xml")
_OF_SCALARS = (Media.TEXT, Media.BYTES)
# Media types of whole tables, and of nothing else but CSV.
EXPORTS: Mapping[Media, Format] = MappingProxyType({Media(form.media_type): form for form in Format})
_OF_EXPORTS = EXPORTS.keys() - {Media.CSV}
PLANS = (Media.PLAN, Media.JSON_PLAN)
# What EXPLAIN can tell besides (PostgreSQL manual, EXPLAIN).
_OPTIONS = ("analyze", "verbose", "settings", "buffers", "wal")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The representation to answer in. `is_stripped`: members that are null are left out.

    `options` are what a plan should tell besides, in the words of EXPLAIN. `handler` is what renders it, where the
    database has its own for this; or (`is_value`) the function that returns it as one value.
    """

    media: Media = Media.JSON
    is_stripped: bool = False
    options: tuple[str, ...] = ()
    handler: Handler | None = None
    is_value: bool = False

    @property
    def content_type(self) -> bytes:
        if self.handler is not None:
            return _content_type(self.handler.media_type)
        if self.media is Media.BYTES:
            return self.media.encode()
        stripped = ";nulls=stripped" if self.is_stripped else ""
        return f"{self.media}{stripped}; charset=utf-8".encode()

    @property
    def is_object(self) -> bool:
        return self.media is Media.OBJECT

    @property
    def of_pages(self) -> Callable[[ReadPlan], Statement]:
        """What compiles a page for it."""
        if self.handler is not None:
            return read.compile_handled(self.handler)
        if self.is_stripped:
            return read.compile_stripped
        return _OF_PAGES.get(self.media, read.compile_list)

    @property
    def of_writes(self) -> Callable[[WritePlan], Statement]:
        """What compiles a write of rows for it."""
        if self.is_stripped:
            return write.compile_write_stripped
        return _OF_WRITES.get(self.media, write.compile_write)

    @property
    def of_calls(self) -> Callable[[CallPlan], Statement]:
        """What compiles a call for it."""
        if self.handler is not None and not self.is_value:
            return call.compile_call_handled(self.handler)
        if self.is_stripped:
            return call.compile_call_stripped
        return _OF_CALLS.get(self.media, call.compile_call)


_OF_WRITES = {Media.CSV: write.compile_write_csv, Media.GEOJSON: write.compile_write_features}
_OF_PAGES = {Media.GEOJSON: read.compile_features}
_OF_CALLS = {Media.CSV: call.compile_call_csv, Media.GEOJSON: call.compile_call_features}
ANY = Accepted()


def accepted(
    header: str | None,
    *,
    is_scalar: bool = False,
    handlers: Mapping[str, Handler] = _NONE,
    is_exported: bool = False,
) -> Accepted:
    """The first of the accepted media types that is served, the dearest first. The database's own handlers lead.

    `is_exported`: the formats of whole tables are served, too.

    Raises:
        NotAcceptable: none is.
    """
    if not handlers and (header is None or header == "*/*" or header == "application/json"):
        return ANY
    header = header or handler.ANY
    for name, parameters in _by_weight(header):
        if own := _own(name, handlers):
            return Accepted(Media.OWN, handler=own, is_value=is_scalar)
        media = _ALIASES.get(name)
        is_served = (is_scalar or media not in _OF_SCALARS) and (is_exported or media not in _OF_EXPORTS)
        if media is not None and is_served:
            is_stripped = parameters.get("nulls") == "stripped" and media in (Media.ARRAY, Media.OBJECT)
            plain = Media.JSON if media is Media.ARRAY and not is_stripped else media
            return Accepted(plain, is_stripped, _options(parameters) if media in PLANS else ())
    names = ", ".join(name for name, _ in _by_weight(header))
    raise NotAcceptable(f"None of these media types are available: {names}")


def _own(name: str, handlers: Mapping[str, Handler]) -> Handler | None:
    """What renders a media type, of the database's own. PostgREST's types are not to be had otherwise."""
    if name.startswith(_VENDORED):
        return None
    return handlers.get(name) or (None if name == Media.JSON else handlers.get(handler.ANY))


def _content_type(media_type: str) -> bytes:
    if media_type == handler.ANY:
        return Media.BYTES.encode()
    return (f"{media_type}; charset=utf-8" if media_type in _WITH_CHARSET else media_type).encode()


def csv_header(plan: ReadPlan) -> bytes:
    """The line of names, quoted where they must be (RFC 4180)."""
    names = (name if name.isidentifier() else '"' + name.replace('"', '""') + '"' for name in output_names(plan))
    return ",".join(names).encode() + b"\n"


def _by_weight(header: str) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[float, str, dict[str, str]]] = []
    for part in header.split(","):
        name, *rest = (item.strip() for item in part.split(";"))
        parameters = {key.strip().lower(): value.strip() for key, _, value in (item.partition("=") for item in rest)}
        weight = _weight(parameters.pop("q", "1"))
        if name and weight > 0:
            found.append((-weight, name.lower(), parameters))
    return [(name, parameters) for _, name, parameters in sorted(found, key=lambda item: item[0])]


def _options(parameters: dict[str, str]) -> tuple[str, ...]:
    asked = parameters.get("options", "").strip('"').lower().split("|")
    return tuple(option for option in _OPTIONS if option in asked)


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
