"""The first page: whether it is well, and what an operator may see of what happens."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.responses import Response

from service.admin import standing
from service.admin.pages.changes import who_did
from service.admin.plane import loaded
from service.admin.requests import traffic
from service.admin.standing import Item
from service.admin.visit import Visit
from service.api.v1.paths import PREFIX, key_text
from service.auth.policy import Policy
from service.auth.principal import Principal
from service.catalog.resource import Resource
from service.core.errors import RowhouseError
from service.core.types import Action
from service.crud.standing import TableSize, database_state, largest
from service.db.migrations import behind

T = TypeVar("T")
_RECENT = 8
# Older ones are not recent, and would have to be sought through the log.
_WITHIN = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody did to a row; `path` leads to it where it is still there."""

    at: str
    who: str
    kind: str
    table: str
    key: str
    path: str | None


async def show(visit: Visit) -> Response:
    """Whether it is well: all of it for administrators, their own tables for others."""
    is_admin = visit.is_admin
    sizes = await _or_none(_sizes(visit))
    return await visit.page(
        "home.html",
        title="Home",
        traffic=traffic(visit.state.minutes) if is_admin else None,
        process=standing.process_name() if is_admin else "",
        since=visit.state.minutes.since,
        items=await _items(visit) if is_admin else [],
        sizes=sizes,
        paths={one.name: visit.of_table(one, "list") for one in _readable(visit)},
        changes=await _or_none(_changes(visit)),
    )


async def _items(visit: Visit) -> list[Item]:
    runtime = visit.runtime
    state = await _or_none(database_state(runtime.pool))
    items = [standing.pool(runtime), standing.feed(runtime)]
    if state is None:
        items.append(Item("Database", False, "It does not answer as it should: some of this page is missing."))
    else:
        items += [standing.webhooks(state), standing.logins(state)]
        items.append(standing.database(state, behind(state.revisions)))
    items += [standing.jobs(runtime), standing.change_log(runtime)]
    if (disk := standing.disk(visit.state)) is not None:
        items.append(disk)
    return sorted(items, key=lambda item: item.is_well)


def _readable(visit: Visit) -> list[Resource]:
    policy, principal = visit.runtime.policy, visit.session.principal
    return [one for one in policy.visible(principal) if policy.may(principal, one, Action.READ)]


async def _sizes(visit: Visit) -> list[TableSize]:
    """Of the tables whose rows the operator may all see: of others it would tell how many are hidden."""
    policy, principal = visit.runtime.policy, visit.session.principal
    whole = [one for one in _readable(visit) if _sees_all(policy, principal, one)]
    return await largest(visit.runtime.pool, visit.runtime.catalog, whole)


def _sees_all(policy: Policy, principal: Principal, resource: Resource) -> bool:
    return policy.rows(principal, resource, Action.READ) is None


async def _changes(visit: Visit) -> list[Change]:
    answer = await visit.plane.ask("GET", f"{PREFIX}-/history", f"limit={_RECENT}&within={_WITHIN}")
    visible = visit.runtime.policy.visible(visit.session.principal)
    return [_change(visit, visible.find(one["table"]), one) for one in loaded(answer.body)]


def _change(visit: Visit, resource: Resource | None, one: dict[str, Any]) -> Change:
    key = one["key"]
    text, path = "", None
    if isinstance(key, dict) and all(value is not None for value in key.values()):
        text = key_text(tuple(str(value) for value in key.values()))
        if resource is not None and one["type"] in ("insert", "update") and tuple(key) == resource.key:
            path = visit.of_row(resource, "details", text)
    return Change(one["at"], who_did(one), one["type"], one["table"], text, path)


async def _or_none(asked: Awaitable[T]) -> T | None:
    """What cannot be told now must not take the page with it."""
    try:
        return await asked
    except RowhouseError:
        return None
