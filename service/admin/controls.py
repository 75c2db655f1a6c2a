"""Controls of a form, one for each kind of column: what they are named, and what they hold when they are sent.

A control sends what it showed (`was.`), what it holds now (`now.`), and whether that is NULL (`null.`): an empty text
is not NULL. What is not sent was not in the form. Some kinds have more inputs: the bounds of a range, a file.
"""

import hashlib
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile

from service.admin.fields import Field, Kind
from service.admin.json_text import json_body
from service.admin.literals import EMPTY, Range, array_of, items_of, range_of
from service.admin.native import NativeInput, native_input, native_text
from service.admin.slug import to_slug

# Of other types an empty text is no value; it may be one of a type that is not known here.
_NEVER_EMPTY = frozenset({"inet", "cidr", "macaddr", "macaddr8", "money", "point", "line", "lseg", "box", "path"})
_CAN_BE_EMPTY = (Kind.TEXT, Kind.OTHER, Kind.BYTES)
_NATIVE = (Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMP_ZONED)
_TEMPLATES = {
    Kind.BOOLEAN: "boolean",
    Kind.ENUM: "enum",
    Kind.JSON: "json",
    Kind.TEXT: "text",
    Kind.BYTES: "bytes",
    Kind.ARRAY: "array",
    Kind.RANGE: "range",
    Kind.UUID: "uuid",
} | dict.fromkeys(_NATIVE, "native")
_NO_BYTES = "\\x"
AS_LINES = "lines"


@dataclass(frozen=True, slots=True)
class Control:
    """The control of a column. `template` draws it."""

    field: Field

    @property
    def template(self) -> str:
        return f"rowhouse/controls/{self._template()}.html"

    def _template(self) -> str:
        if self.field.reference is not None:
            return "reference"
        if self.field.kind is Kind.BYTES and not self.is_file:
            return "line"
        return _TEMPLATES.get(self.field.kind, "line")

    @property
    def id(self) -> str:
        """What labels and messages name it by: without blanks."""
        return f"now.{to_slug(self.field.name)}"

    @property
    def fault_id(self) -> str:
        return f"fault.{to_slug(self.field.name)}"

    @property
    def is_file(self) -> bool:
        """Whether its bytes come as a file, and are not sent back and forth: keys must be, to be compared."""
        return self.field.kind is Kind.BYTES and self.field.reference is None and not self.field.is_key

    @property
    def has_null(self) -> bool:
        """Whether a box of its own says that it is NULL."""
        return self.field.column.is_nullable and self.field.kind is not Kind.BOOLEAN

    @property
    def can_be_empty(self) -> bool:
        return self.field.kind in _CAN_BE_EMPTY and self.field.column.base_type not in _NEVER_EMPTY

    def name(self, part: str) -> str:
        """The name of one of its inputs: `was`, `now`, `null`, `wasnull` …"""
        return f"{part}.{self.field.name}"

    def native(self, value: str | None) -> NativeInput | None:
        """The browser's own input for the value, where it has one that loses nothing."""
        return native_input(self.field.kind, value)

    def size(self, value: str) -> int:
        """How many bytes a value has."""
        return size_of(value)

    def lines(self, value: str | None) -> str | None:
        """The items of an array, one a line; None where they cannot be told apart so."""
        if not value:
            return ""
        items = None if self.field.column.base_type == "box[]" else items_of(value)
        if items is None or not all(item and item.strip() and len(item.splitlines()) == 1 for item in items):
            return None
        return "\n".join(item for item in items if item is not None)

    def range(self, value: str | None) -> Range | None:
        """The bounds of a range; None where inputs of one line cannot hold them, as of several ranges."""
        if not value:
            return Range("", "", "")
        found = None if "multirange" in self.field.column.base_type else range_of(value)
        return None if found is None or len(f"{found.lower}|{found.upper}|".splitlines()) > 1 else found

    def trace(self, value: str | None) -> str | None:
        """What a form keeps of a value, to tell later whether it is still the same: line ends come back from browsers
        as LF, whatever they were; bytes are too many.
        """
        if value is None or not self.is_file:
            return None if value is None else _lined(value)
        return f"{size_of(value)} bytes, SHA-256 {hashlib.sha256(value.encode()).hexdigest()[:20]}"

    def is_in(self, form: FormData) -> bool:
        if self.is_file:
            return self.name("null") in form or self._bytes(form) is not None
        return any(self.name(part) in form for part in ("now", "null", "bounds"))

    def was_in(self, form: FormData) -> bool:
        return self.name("was") in form or self.name("wasnull") in form

    def was(self, form: FormData) -> str | None:
        """What the form showed."""
        return None if self.name("wasnull") in form else _text(form, self.name("was"))

    def is_blank(self, form: FormData) -> bool:
        """Whether nothing was typed in."""
        if self.is_file:
            return self._bytes(form) is None
        return not any(_text(form, self.name(part)) for part in ("now", "bounds", "lower", "upper"))

    def value(self, form: FormData) -> str | None:
        """What the operator means: NULL where that is ticked, or where nothing is typed in that could be a value.

        A box that came ticked gives way to what was typed in, for scripts untick it and may be missing.
        """
        entered = self._entered(form)
        if self.name("null") in form and not (self.name("ticked") in form and not self.is_blank(form)):
            return None
        return entered

    def _entered(self, form: FormData) -> str | None:
        was = self.was(form)
        if self.is_file:
            return self._bytes(form)
        if self.name("bounds") in form:
            return self._range(form, was)
        text = _text(form, self.name("now"))
        if self.field.kind is Kind.ARRAY and form.get(self.name("as")) == AS_LINES:
            items = [line for line in text.split("\n") if line.strip()]
            return was if was is not None and items_of(was) == items else array_of(items)
        if not text and not self.can_be_empty and was != "":
            return None
        return native_text(self.field.kind, text)

    def _range(self, form: FormData, was: str | None) -> str | None:
        lower, upper, bounds = (_text(form, self.name(part)) for part in ("lower", "upper", "bounds"))
        if not bounds and not lower and not upper:
            return None
        typed = Range("", "", EMPTY) if bounds == EMPTY else Range(lower, upper, bounds or "[)")
        return was if was is not None and range_of(was) == typed else typed.text

    def _bytes(self, form: FormData) -> str | None:
        """The bytes that were chosen; None where those that are there stay."""
        file, choice = form.get(self.name("file")), form.get(self.name("bytes"))
        if isinstance(file, UploadFile) and file.filename:
            file.file.seek(0)
            return _NO_BYTES + file.file.read().hex()
        if choice == "empty":
            return _NO_BYTES
        return _text(form, self.name("now")) or None if choice in ("new", None) else None

    def as_json(self, value: str | None) -> object:
        """The value in a body of the API: a text, which PostgreSQL reads by the column's type; JSON as what it is.

        Raises:
            InvalidBody: it is no JSON.
        """
        is_own = self.field.column.representation is not None and value is not None and value[:1] in ("{", "[")
        if value is None or not (self.field.kind is Kind.JSON or is_own):
            return value
        return json_body(self.field.name, value)


def control_of(field: Field) -> Control:
    return Control(field)


def size_of(value: str) -> int:
    """How many bytes PostgreSQL has written in hexadecimal digits."""
    return max(len(value) - 2, 0) // 2


def _text(form: FormData, name: str) -> str:
    """A text as it was typed in: browsers send line ends as CR LF (HTML, form submission), PostgreSQL keeps LF."""
    value = form.get(name)
    return _lined(value) if isinstance(value, str) else ""


def _lined(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
