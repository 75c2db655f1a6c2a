"""Changes as the log has them: of all tables, by person and time; and undoing them."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from starlette.responses import Response

from service.admin.filters import quoted_name
from service.admin.gate import safe_target
from service.admin.plane import header, loaded
from service.admin.reading import Pairs, encode
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.exchange import Answer
from service.api.v1.paths import PREFIX, key_text
from service.catalog.resource import Resource
from service.core.errors import Conflict, InvalidBody, RowhouseError
from service.core.types import Action

PAGE = 25
_UNDO = f"{PREFIX}-/undo"
_NOT_TRACKED = "not_tracked"
_FILTERS = ("actor", "since", "until", "operation", "request", "transaction")
_SELECTIONS = ("change", "request", "transaction")
_USER = "user:"


@dataclass(frozen=True, slots=True)
class Difference:
    """A column before and after; None where there was, or is, no such row. `is_changed` of an update alone."""

    column: str
    before: str | None
    after: str | None
    is_changed: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One change as a page shows it: who did what to which row. `key` is as the API's paths write it; None where the
    table has none, or the row is not told.
    """

    number: int
    table: str
    kind: str
    key: str | None
    who: str
    beside: str | None
    at: str
    request: str | None
    transaction: str
    has_before: bool
    has_after: bool
    differences: list[Difference]

    @property
    def changed(self) -> list[Difference]:
        """What there is to see: of an update, what it changed."""
        return [one for one in self.differences if one.is_changed or self.kind != "update"]


def change_of(entry: Mapping[str, Any], resource: Resource | None) -> Change:
    """An entry of the API's history."""
    before, after = entry["before"], entry["after"]
    differing = entry.get("columns", ())
    names = dict.fromkeys([*(before or {}), *(after or {})])
    differences = [
        Difference(name, _value(before, name), _value(after, name), is_changed=name in differing) for name in names
    ]
    return Change(
        entry["change"],
        entry["table"],
        entry["type"],
        _key_of(entry["key"], resource),
        who_did(entry),
        entry["source"] or None,
        entry["at"],
        entry["request"],
        entry["transaction"],
        before is not None,
        after is not None,
        differences,
    )


def who_did(entry: Mapping[str, Any]) -> str:
    """Who made a change of the log: a principal of Rowhouse, or a role of PostgreSQL."""
    actor = entry["actor"]
    return who_is(actor) if actor else f"{entry['db_user']} (in the database)"


def who_is(actor: str) -> str:
    """A person by the address, others as the log has them."""
    return actor.removeprefix(_USER)


def _key_of(key: Mapping[str, Any] | None, resource: Resource | None) -> str | None:
    if key is None or resource is None or not resource.key:
        return None
    return key_text(tuple(_text(key[name]) for name in resource.key))


def _value(row: Mapping[str, Any] | None, name: str) -> str | None:
    value = None if row is None else row.get(name)
    return None if value is None else _text(value)


def _text(value: object) -> str:
    """A value of the log: texts as they are, others as JSON writes them."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, Decimal) else orjson.dumps(value, default=str).decode()


@dataclass(frozen=True, slots=True)
class Log:
    """A page of changes. `is_tracked` is False where the table's changes do not enter the log."""

    changes: list[Change]
    following: Pairs | None
    is_tracked: bool = True


async def read_log(visit: Visit, path: str, pairs: Pairs) -> Log:
    """A page of what the API tells at this address, the latest first.

    Raises: as the API, but for tables that are not tracked.
    """
    try:
        answer = await visit.plane.ask("GET", path, encode([*pairs, ("limit", str(PAGE))]))
    except Conflict as error:
        if error.stable_code != _NOT_TRACKED:
            raise
        return Log([], None, is_tracked=False)
    known = visit.runtime.policy.visible(visit.session.principal)
    changes = [change_of(entry, known.find(entry["table"])) for entry in loaded(answer.body)]
    return Log(changes, _following(answer, pairs))


def _following(answer: Answer, pairs: Pairs) -> Pairs | None:
    link = header(answer, b"link")
    if link is None:
        return None
    given = dict(parse_qsl(urlsplit(link.partition(">")[0].lstrip("<")).query))
    return [*((name, value) for name, value in pairs if name != "cursor"), ("cursor", given["cursor"])]


async def show(visit: Visit) -> Response:
    """Recent changes, by table, person, time, kind and request."""
    pairs = [pair for pair in parse_qsl(visit.request.url.query) if pair[1]]
    given = {name: value for name, value in pairs if name in (*_FILTERS, "tables", "cursor")}
    log = await read_log(visit, f"{PREFIX}-/history", list(given.items()))
    policy, principal = visit.runtime.policy, visit.session.principal
    names = (one.name for one in policy.visible(principal) if policy.may(principal, one, Action.READ))
    return await visit.page(
        "changes.html",
        title="Recent changes",
        given={name: given.get(name, "") for name in (*_FILTERS, "tables")},
        tables=[(name, quoted_name(name)) for name in sorted(names)],
        log=log,
        is_first="cursor" not in given,
        resources=policy.visible(principal),
    )


async def ask(visit: Visit) -> Response:
    """What an undo would do: it is tried, and nothing is kept."""
    given = dict(parse_qsl(visit.request.url.query))
    name, value = _selection(given)
    undone: list[dict[str, Any]] = []
    error = None
    try:
        answer = await visit.plane.ask("POST", _UNDO, body={name: value, "dry_run": True})
        undone = loaded(answer.body)["undone"]
    except RowhouseError as refused:
        if status_of(refused) in (401, 503):
            raise
        error = refused
    return await visit.page(
        "undo.html",
        200 if error is None else status_of(error),
        title=f"Undo {name} {value}",
        name=name,
        value=value,
        undone=undone,
        error=error,
        back=_back(visit, given.get("back")),
    )


async def undo(visit: Visit) -> Response:
    """Take the changes back, all or none."""
    given = {name: str(value) for name, value in visit.form.items() if isinstance(value, str)}
    name, value = _selection(given)
    answer = await visit.plane.ask("POST", _UNDO, body={name: value})
    count = len(loaded(answer.body)["undone"])
    changes = "The change is" if count == 1 else f"{count} changes are"
    return visit.go(_back(visit, given.get("back")), f"{changes} taken back.")


def _selection(given: Mapping[str, str]) -> tuple[str, str]:
    for name in _SELECTIONS:
        if given.get(name):
            return name, given[name]
    raise InvalidBody("Say what is to be undone: a change, a request or a transaction.")


def _back(visit: Visit, target: str | None) -> str:
    return safe_target(visit.request, target) if target else visit.at("-", "changes")
