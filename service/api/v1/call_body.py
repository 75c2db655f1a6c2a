"""Bodies of calls: arguments by name, or one that is the only argument of a function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson

from service.api.v1.body import parse_json, rows_from_csv
from service.catalog.function import Function
from service.core.errors import UnsupportedMediaType
from service.query.parse.call import choose_overload, given_by_name
from service.query.parse.parameters import Parameters
from service.query.plan import Bind, BindKind, CallPlan

_FORM = b"application/x-www-form-urlencoded"
_CSV = b"text/csv"
_BYTES = b"application/octet-stream"
# What a body that is one argument may be.
_TYPES: Mapping[bytes, tuple[str, ...]] = {
    b"": ("json", "jsonb"),
    b"application/json": ("json", "jsonb"),
    b"text/plain": ("text",),
    b"text/xml": ("xml",),
    _BYTES: ("bytea",),
}


@dataclass(frozen=True, slots=True)
class CallBody:
    """What a body says: arguments by `names`, as JSON or as the texts of a form, or one of `types`, or either."""

    whole: str = ""
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    json: bytes | None = None
    is_array: bool = False
    texts: Parameters = ()

    def plan(self, functions: Sequence[Function]) -> CallPlan:
        """The call of the function that takes it.

        Raises: as `choose_overload`; InvalidBody for JSON that names no arguments.
        """
        function = choose_overload(functions, self.names, self.types)
        if function.takes_body:
            return CallPlan(function, body=Bind(self.whole))
        if self.json is not None:
            return CallPlan(function, body=Bind(self.json, BindKind.JSON), given=self.names, is_array=self.is_array)
        return CallPlan(function, given_by_name(function, self.texts))


def read_call_body(body: bytes, media_type: bytes, columns: str | None) -> CallBody:
    """Read the body. Of an array the first object counts; with `columns`, the members that it names.

    Raises:
        UnsupportedMediaType: it is none of these.
        InvalidBody: it cannot be read.
    """
    if media_type == _FORM:
        texts = tuple(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        return CallBody(texts=texts, names=tuple(dict.fromkeys(name for name, _ in texts)))
    if media_type == _CSV:
        first = dict((rows_from_csv(body) or [{}])[0])
        return CallBody(names=tuple(first), json=orjson.dumps(first))
    if media_type not in _TYPES:
        raise UnsupportedMediaType("The body must be JSON.", hint="Send Content-Type: application/json.")
    types = _TYPES[media_type]
    if not body and "json" not in types:
        return CallBody()
    if "json" not in types:
        return CallBody("\\x" + body.hex() if media_type == _BYTES else body.decode("utf-8", "replace"), types)
    value = parse_json(body) if body.strip() else {}
    is_array = isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
    members = value[0] if isinstance(value, list) and is_array else value
    names = tuple(members) if isinstance(members, Mapping) else ("",)
    if columns is not None:
        names = tuple(name.strip().strip('"') for name in columns.split(","))
    return CallBody(body.decode("utf-8", "replace"), types, names, body or b"{}", is_array)
