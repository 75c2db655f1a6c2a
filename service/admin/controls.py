"""Controls of a form, one for each kind of column: what they are named, and what they hold when they are sent.

A control sends three things: what it showed (`was.`), what it holds now (`now.`), and whether that is NULL (`null.`):
an empty text is not NULL. What is not sent was not in the form.
"""

import json
from dataclasses import dataclass

import orjson
from starlette.datastructures import FormData

from service.admin.fields import Field, Kind
from service.core.errors import FieldError, InvalidBody

_WAS, _NOW, _NULL, _WAS_NULL = "was.", "now.", "null.", "wasnull."
# An empty text is a value of these alone.
_CAN_BE_EMPTY = (Kind.TEXT, Kind.OTHER, Kind.BYTES)
_LONG = 80


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
        return {
            Kind.BOOLEAN: "boolean",
            Kind.ENUM: "enum",
            Kind.JSON: "json",
            Kind.TEXT: "text",
            Kind.BYTES: "bytes",
        }.get(self.field.kind, "line")

    @property
    def can_be_empty(self) -> bool:
        return self.field.kind in _CAN_BE_EMPTY

    def name(self, part: str) -> str:
        """The name of one of its inputs: `was`, `now`, `null` or `wasnull`."""
        return f"{part}.{self.field.name}"

    def is_in(self, form: FormData) -> bool:
        return _NOW + self.field.name in form or _NULL + self.field.name in form

    def was_in(self, form: FormData) -> bool:
        return _WAS + self.field.name in form or _WAS_NULL + self.field.name in form

    def was(self, form: FormData) -> str | None:
        """What the form showed."""
        return None if _WAS_NULL + self.field.name in form else _text(form, _WAS + self.field.name)

    def value(self, form: FormData) -> str | None:
        """What the operator means: NULL where that is ticked, or where nothing is typed in that could be a value."""
        if _NULL + self.field.name in form:
            return None
        text = _text(form, _NOW + self.field.name)
        if not text and not self.can_be_empty:
            return None
        return text

    def as_json(self, value: str | None) -> object:
        """The value in a body of the API: a text, which PostgreSQL reads by the column's type; JSON as what it is.

        Raises:
            InvalidBody: it is no JSON.
        """
        if value is None or self.field.kind is not Kind.JSON:
            return value
        try:
            json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidBody(
                "A field holds no JSON.", fields=[FieldError(self.field.name, f"is no JSON: {error}")]
            ) from None
        return orjson.Fragment(value)  # as it was typed in: no number loses a digit


def control_of(field: Field) -> Control:
    return Control(field)


def _text(form: FormData, name: str) -> str:
    """A text as it was typed in: browsers send line ends as CR LF (HTML, form submission), PostgreSQL keeps LF."""
    value = form.get(name)
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""
