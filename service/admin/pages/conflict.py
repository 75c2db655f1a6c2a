"""A row that somebody else has changed while an operator worked on it: what it was, theirs and yours, by field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from service.admin.controls import control_of
from service.admin.fields import Field, fields_of
from service.admin.formats import moment, sized
from service.admin.forms import Faults, Sent, Shown, writable
from service.admin.pages.changes import who_did
from service.admin.pages.row import read_row
from service.admin.visit import Visit
from service.api.v1.paths import key_text, row_url
from service.catalog.resource import Resource
from service.core.errors import RowhouseError, RowNotFound
from service.core.types import Action

YOURS, THEIRS = "yours", "theirs"


@dataclass(frozen=True, slots=True)
class Difference:
    """A column on which the operator and somebody else disagree, or which one of them has changed. The three are as
    forms keep values; `typed` is what is to be written if the operator's is taken. It `is_at_hand` unless it is a file
    that the operator has left as it was.
    """

    field: Field
    was: str | None
    theirs: str | None
    yours: str | None
    typed: str | None
    chosen: str | None
    is_at_hand: bool

    @property
    def is_conflict(self) -> bool:
        """Whether both have changed it, to different values."""
        return self.theirs not in (self.was, self.yours) and self.yours != self.was

    @property
    def taken(self) -> str | None:
        """Which one is taken unless the operator says otherwise; None where that is not for us to say."""
        if self.chosen in (YOURS, THEIRS):
            return self.chosen
        if self.is_conflict:
            return None
        return YOURS if self.yours != self.was else THEIRS


async def show(visit: Visit, resource: Resource, key: str, sent: Sent, fault: str = "") -> Response:
    """Theirs, yours and what it was, with a choice for each field that both have changed."""
    try:
        seen = await read_row(visit, resource, key)
    except RowNotFound:
        return await show_gone(visit, resource, key, sent)
    differences = []
    for one in writable(resource):
        if one.name in sent.was or one.name in sent.now:
            control = control_of(one)
            was, theirs = sent.was.get(one.name), control.trace(seen.values[one.name])
            typed = sent.now.get(one.name, was)
            yours = control.trace(typed) if one.name in sent.changed else was
            chosen = visit.form.get(f"take.{one.name}") if fault else None
            is_at_hand = not control.is_file or one.name in sent.changed
            taken = str(chosen) if chosen else None
            differences.append(Difference(one, was, theirs, yours, typed, taken, is_at_hand))
    shown = [one for one in differences if not one.was == one.theirs == one.yours]
    return await visit.page(
        "conflict.html",
        409,
        title=f"{resource.name} {key}",
        resource=resource,
        key=key,
        seen=seen,
        differences=shown,
        fault=fault,
        author=await _author(visit, resource, key),
        sized=sized,
    )


async def show_gone(visit: Visit, resource: Resource, key: str, sent: Sent) -> Response:
    """The row is not there any more. It may have another key by now, where its merge goes on; or it was deleted, and
    can be made anew of what was typed in.
    """
    change = await _last_change(visit, resource, key)
    moved_from, moved_to = (change or {}).get("old_key"), (change or {}).get("key")
    if moved_from and moved_to and _key_in(resource, moved_from) == key:
        new_key = _key_in(resource, moved_to)
        return await show(visit, resource, new_key, sent, f"Its key has become {new_key}.")
    controls = [_typed(one, sent) for one in writable(resource)]
    may_create = visit.may(resource, Action.CREATE)
    return await visit.page(
        "gone.html",
        404,
        title=f"{resource.name} {key}",
        resource=resource,
        key=key,
        controls=controls,
        author=_told(change),
        may_create=may_create,
        faults=Faults(),
        fixed=[one for one in fields_of(resource) if not one.column.is_writable],
    )


def _typed(one: Field, sent: Sent) -> Shown:
    control = control_of(one)
    if control.is_file:
        return Shown(control, sent.changed.get(one.name), is_new=one.name in sent.changed)
    value = sent.now.get(one.name, sent.was.get(one.name))
    return Shown(control, value, is_empty=value == "" and control.can_be_empty)


async def _author(visit: Visit, resource: Resource, key: str) -> str:
    return _told(await _last_change(visit, resource, key))


async def _last_change(visit: Visit, resource: Resource, key: str) -> dict[str, Any] | None:
    """The last change of a row; None where the table is not tracked, or nothing is known."""
    try:
        changes = await visit.plane.read(f"{row_url('', resource, key)}/-/history", "limit=1")
    except RowhouseError:
        return None
    return changes[0] if changes else None


def _key_in(resource: Resource, values: Mapping[str, object]) -> str:
    """A key of the log, as the API's paths write it."""
    return key_text(tuple(str(values.get(name)) for name in resource.key))


def _told(change: dict[str, Any] | None) -> str:
    """Who it was, and when."""
    if change is None:
        return ""
    return f"by {who_did(change)} at {moment(change.get('at'))}"
