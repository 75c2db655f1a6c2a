"""Paths of the table plane: `/api/v1/{table}` and `/api/v1/{table}/{key}`.

Only `-` and `rpc` are reserved. Percent-encoding is undone after the path is cut, so a key may hold a slash (`%2F`),
and a key that is `-` is written `%2D`.
"""

from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.query.parse.reader import Reader
from service.query.plan import Bind, ColumnRef, Comparison, Operator, Predicate, all_of

PREFIX = "/api/v1/"
_RAW_PREFIX = PREFIX.encode()
_RESERVED = (b"-", b"rpc")
_TABLES = b"-/tables/"
_BATCH = _RAW_PREFIX + b"-/batch"
_SCHEMA = b"/-/schema"
_CHANGES = b"/-/changes"
_CHANGES_ROUTE = PREFIX + "{table}/-/changes"
_HISTORY = b"/-/history"
_TRASH = b"/-/trash"
_HISTORY_ROUTE = PREFIX + "{table}/-/history"
_TRASH_ROUTE = PREFIX + "{table}/-/trash"
_UNDO = _RAW_PREFIX + b"-/undo"
_RESTORE = b"/-/restore"
_RESTORE_ROUTE = PREFIX + "{table}/{key}/-/restore"
_FUNCTIONS = _RAW_PREFIX + b"rpc/"
# Clients would take these for no segment, or for a step in the path.
_QUOTED = ("", ".", "..")


@dataclass(frozen=True, slots=True)
class TablePath:
    """A table by name, and the text of a key where one row is meant."""

    table: str
    key: str | None

    @property
    def route(self) -> str:
        """The template for metrics and logs. Tables are few; keys are not."""
        return f"{PREFIX}{self.table}" + ("/{key}" if self.key is not None else "")


def parse_path(raw_path: bytes) -> TablePath | None:
    """The table path, or None where the path is not the table plane's.

    Raises:
        InvalidQuery: the path is not UTF-8 or has a NUL character.
    """
    if not raw_path.startswith(_RAW_PREFIX):
        return None
    rest = raw_path[len(_RAW_PREFIX) :]
    is_long_form = rest.startswith(_TABLES)
    segments = (rest[len(_TABLES) :] if is_long_form else rest).split(b"/")
    if not segments[0] or (segments[0] in _RESERVED and not is_long_form):
        return None
    if len(segments) > 2 or segments[-1] in (b"", b"-"):
        return None
    return TablePath(_decode(segments[0]), _decode(segments[1]) if len(segments) == 2 else None)


@dataclass(frozen=True, slots=True)
class FunctionPath:
    """A function by name."""

    function: str

    @property
    def route(self) -> str:
        """The template for metrics and logs."""
        return f"{PREFIX}rpc/{self.function}"


def parse_function_path(raw_path: bytes) -> FunctionPath | None:
    """The function's path, or None where the path is none. Raises: as `parse_path`."""
    if not raw_path.startswith(_FUNCTIONS):
        return None
    name = raw_path[len(_FUNCTIONS) :]
    return FunctionPath(_decode(name)) if name and b"/" not in name else None


@dataclass(frozen=True, slots=True)
class SchemaPath:
    """What is known of a table: `/api/v1/{table}/-/schema`."""

    table: str

    @property
    def route(self) -> str:
        return f"{PREFIX}{self.table}/-/schema"


@dataclass(frozen=True, slots=True)
class BatchPath:
    """Several operations at once: `/api/v1/-/batch`."""

    @property
    def route(self) -> str:
        return _BATCH.decode()


@dataclass(frozen=True, slots=True)
class HistoryPath:
    """What was done to a row, `/api/v1/{table}/{key}/-/history`, to the rows of a table, or to those of all
    (`/api/v1/-/history`); or what was deleted of a table, `/api/v1/{table}/-/trash`. `url` is the path as it was sent.
    """

    url: str
    table: str | None
    key: str | None = None
    is_trash: bool = False

    @property
    def route(self) -> str:
        return _TRASH_ROUTE if self.is_trash else _HISTORY_ROUTE


@dataclass(frozen=True, slots=True)
class ChangesPath:
    """The changes of a table, `/api/v1/{table}/-/changes`, or of several, `/api/v1/-/changes`."""

    table: str | None

    @property
    def route(self) -> str:
        return _CHANGES_ROUTE


@dataclass(frozen=True, slots=True)
class UndoPath:
    """Taking changes back, `/api/v1/-/undo`; or bringing back a row, `/api/v1/{table}/{key}/-/restore`."""

    table: str | None = None
    key: str | None = None

    @property
    def route(self) -> str:
        return _UNDO.decode() if self.table is None else _RESTORE_ROUTE


DispatchedPath = TablePath | FunctionPath | SchemaPath | HistoryPath
Path = DispatchedPath | BatchPath | UndoPath


def parse_any_path(raw_path: bytes) -> Path | None:
    """The path, or None where it is not the table plane's. Raises: as `parse_path`."""
    if raw_path == _BATCH:
        return BatchPath()
    if raw_path.endswith(_SCHEMA) and (table := parse_path(raw_path.removesuffix(_SCHEMA))) and table.key is None:
        return SchemaPath(table.table)
    return (
        parse_path(raw_path)
        or parse_function_path(raw_path)
        or _parse_history_path(raw_path)
        or _parse_undo_path(raw_path)
    )


def _parse_undo_path(raw_path: bytes) -> UndoPath | None:
    if raw_path == _UNDO:
        return UndoPath()
    if raw_path.endswith(_RESTORE) and (path := parse_path(raw_path.removesuffix(_RESTORE))) and path.key is not None:
        return UndoPath(path.table, path.key)
    return None


def _parse_history_path(raw_path: bytes) -> HistoryPath | None:
    url = raw_path.decode("latin-1")
    if raw_path == _RAW_PREFIX[:-1] + _HISTORY:
        return HistoryPath(url, None)
    if raw_path.endswith(_HISTORY) and (path := parse_path(raw_path.removesuffix(_HISTORY))):
        return HistoryPath(url, path.table, path.key)
    if raw_path.endswith(_TRASH) and (path := parse_path(raw_path.removesuffix(_TRASH))) and path.key is None:
        return HistoryPath(url, path.table, is_trash=True)
    return None


def parse_changes_path(raw_path: bytes) -> ChangesPath | None:
    """The path of a feed, or None where it is none. Raises: as `parse_path`."""
    if not raw_path.endswith(_CHANGES):
        return None
    if raw_path == _RAW_PREFIX[:-1] + _CHANGES:
        return ChangesPath(None)
    table = parse_path(raw_path.removesuffix(_CHANGES))
    return ChangesPath(table.table) if table is not None and table.key is None else None


def _decode(segment: bytes) -> str:
    try:
        text = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise InvalidQuery("The path is not UTF-8.", hint="Percent-encode it as UTF-8.") from None
    if "\x00" in text:
        raise InvalidQuery("The path has a NUL character, which PostgreSQL cannot store.")
    return text


def key_values(resource: Resource, key: str) -> tuple[str, ...]:
    """The values of a key, in key order: parted by commas, quoted as the query language quotes.

    Raises:
        InvalidQuery: it has another number of values than the table's key.
    """
    if len(resource.key) == 1 and not key.startswith('"'):
        return (key,)
    reader = Reader(key, "The key")
    values = [_key_value(reader)]
    while reader.skip(","):
        values.append(_key_value(reader))
    reader.expect_end()
    if not resource.key:
        raise InvalidQuery(
            f"Rows of {resource.name!r} have no paths: it has no key, or none that you may read.",
            hint="Name rows by a filter.",
        )
    if len(values) != len(resource.key):
        raise InvalidQuery(
            f"The key of {resource.name!r} has {len(resource.key)} values, not {len(values)}.",
            hint=f"Write /{resource.name}/{','.join(resource.key)}, with values in place of the names.",
        )
    return tuple(values)


def _key_value(reader: Reader) -> str:
    return reader.quoted() if reader.next_is('"') else reader.until(",")


def key_predicate(resource: Resource, values: tuple[str, ...]) -> Predicate:
    """The row that has this key."""
    terms = (
        Comparison(ColumnRef(name), Operator.EQ, Bind(value)) for name, value in zip(resource.key, values, strict=True)
    )
    predicate = all_of(*terms)
    assert predicate is not None
    return predicate


def key_text(values: tuple[str, ...]) -> str:
    """A key as a path names it."""
    return ",".join(_write_value(value, is_single=len(values) == 1) for value in values)


def item_url(prefix: str, resource: Resource, values: tuple[str, ...]) -> str:
    """The path of a row."""
    return row_url(prefix, resource, key_text(values))


def row_url(prefix: str, resource: Resource, key: str) -> str:
    """The same, by a key as a path names it."""
    return f"{table_url(prefix, resource)}/{'%2D' if key == '-' else quote(key, safe=',:')}"


def table_url(prefix: str, resource: Resource) -> str:
    """The path of a table."""
    is_reserved = resource.name.encode() in _RESERVED
    return f"{prefix}{PREFIX}{'-/tables/' if is_reserved else ''}{quote(resource.name, safe='')}"


def _write_value(value: str, *, is_single: bool) -> str:
    needs_quotes = value in _QUOTED or value.startswith('"') or (not is_single and "," in value)
    if needs_quotes:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return value
