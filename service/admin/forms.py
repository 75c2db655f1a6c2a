"""Forms of rows as they were sent, and what is wrong with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import FormData

from service.admin.controls import Control, control_of
from service.admin.fields import Field, field_of
from service.catalog.resource import Resource
from service.core.errors import Conflict, FieldError, InvalidBody, PreconditionFailed, RowhouseError
from service.core.states import FOREIGN_KEY
from service.core.types import Action

_UNIQUE, _OVERLAPS = "23505", "23P01"
# PostgreSQL's SQLSTATE in words, of one field (manual, appendix A).
_WORDS = {
    "22P02": "cannot be read as {}",
    "22P03": "cannot be read as {}",
    "22007": "cannot be read as {}",
    "22008": "is no such day or time, or out of the range of {}",
    "22003": "is out of the range of {}",
    "22001": "is too long for {}",
    "22026": "has another length than {}",
    "22000": "cannot be read as {}",
    "23502": "must have a value",
    "23514": "is not allowed by a rule of the table",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A form as it was sent, by column: what it showed, and what it holds now. A column that is not there was not in
    the form, and is left alone.
    """

    was: Mapping[str, str | None]
    now: Mapping[str, str | None]

    @property
    def changed(self) -> dict[str, str | None]:
        """What the operator has changed."""
        return {name: value for name, value in self.now.items() if name not in self.was or self.was[name] != value}


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a form: of single fields, by column, and of all of it."""

    message: str = ""
    hint: str | None = None
    of_fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shown:
    """A control as it is drawn: what it holds, what it showed at first, and the label of the row that it refers to.

    A file that `is_new` has been sent before, and is sent back and forth until it is kept. `is_empty`: an empty text
    was asked for, rather than nothing.
    """

    control: Control
    value: str | None
    was: str | None = None
    label: str | None = None
    path: str | None = None
    is_new: bool = False
    is_empty: bool = False


def writable(resource: Resource, action: Action = Action.UPDATE) -> list[Field]:
    """The columns that a form has controls for: of a row that is there, those that it can show."""
    is_new = action is Action.CREATE
    columns = resource.writable(action).items()
    return [field_of(resource, column) for name, column in columns if is_new or name in resource.columns]


def sent_of(fields: Sequence[Field], form: FormData) -> Sent:
    """Read a form. A value that is what was shown is told as that."""
    was: dict[str, str | None] = {}
    now: dict[str, str | None] = {}
    for one in fields:
        control = control_of(one)
        if control.was_in(form):
            was[one.name] = control.was(form)
        if control.is_in(form):
            value = control.value(form)
            is_same = one.name in was and control.trace(value) == was[one.name]
            now[one.name] = was[one.name] if is_same else value
    return Sent(was, now)


def if_match(version: object) -> str:
    """The condition that a row is still in the version that a form carries (RFC 9110, 13.1.1).

    Raises:
        PreconditionFailed: it carries none, and so nobody knows what was seen.
    """
    if not version:
        raise PreconditionFailed("The form does not say which version of the row it showed.")
    return f'"{version}"'


def as_body(resource: Resource, values: Mapping[str, str | None]) -> dict[str, object]:
    """The values in a body of the API.

    Raises:
        InvalidBody: one is no JSON, and should be.
    """
    fields = {one.name: one for action in (Action.CREATE, Action.UPDATE) for one in writable(resource, action)}
    body: dict[str, object] = {}
    faults: list[FieldError] = []
    for name, value in values.items():
        try:
            body[name] = control_of(fields[name]).as_json(value)
        except InvalidBody as error:
            faults += error.fields
    if faults:
        raise InvalidBody("A field holds no JSON.", fields=faults)
    return body


def faults_of(error: RowhouseError, resource: Resource, sent: Mapping[str, str | None]) -> Faults:
    """An error as the form shows it: at the fields of what was sent that it is about, where that can be told."""
    named = {item.field: item.message for item in error.fields if item.field in resource.columns}
    if not named and (name := _blamed(error, sent)):
        named = {name: ""}
    words = _of_constraint(error) if isinstance(error, Conflict) else _WORDS.get(error.stable_code)
    if words:
        named = {name: words.format(resource.columns[name].sql_type) for name in named}
    named = {name: text or error.message for name, text in named.items()}
    message = error.message
    if named:
        listed = ", ".join(named)
        message = f"Nothing was saved. Look at {listed}."
    return Faults(message, error.hint, named)


def _of_constraint(error: RowhouseError) -> str | None:
    if error.stable_code == _UNIQUE:
        return "is taken: another row has it already"
    if error.stable_code == _OVERLAPS:
        return "overlaps with another row"
    if error.stable_code == FOREIGN_KEY:
        return "refers to a row that is not there, or other rows refer to this one"
    return None


def _blamed(error: RowhouseError, sent: Mapping[str, str | None]) -> str | None:
    """The one field that it must be about: the only one that was sent, or whose value PostgreSQL repeats."""
    if not isinstance(error, InvalidBody) or error.stable_code[:2] not in ("22", "23"):
        return None
    given = [name for name, value in sent.items() if value is not None]
    if len(given) != 1:
        repeated = [name for name in given if sent[name] and f'"{sent[name]}"' in error.message]
        given = repeated if len(repeated) == 1 else []
    return given[0] if given else None
