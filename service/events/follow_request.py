"""What a feed is asked for: the tables, what of them, and from where on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.core.types import Action
from service.events.log import Feed
from service.events.logged import Logged
from service.query.parse.parameters import Bounds, Parameters, decode_parameters
from service.query.parse.reader import Reader
from service.query.parse.request import parse_parameters
from service.query.plan import (
    Bind,
    BindKind,
    FollowedTable,
    ReadPlan,
    Selected,
)
from service.query.walk import fresh

OF_THE_FEED = frozenset({"tables", "ticket", "cursor", "snapshot", "wait"})
_OF_LISTS = frozenset({"order", "limit", "offset", "having", "columns", "on_conflict"})
_MOST_TABLES = 50
_MOST_WAIT_SECONDS = 60
_WAIT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """The query string of a feed. `parameters` are those of each table, by its name.

    `has_snapshot` asks for the rows themselves first. `wait` is how many seconds a poll waits for something to happen.
    """

    parameters: dict[str, Parameters]
    cursor: str | None
    has_snapshot: bool
    wait: float


def parse_follow(table: str | None, query_string: bytes, last_event_id: str | None) -> FollowRequest:
    """Read the query string of the feed of one table, or of those that it names.

    Raises:
        InvalidQuery: it says something that a feed does not have.
    """
    parameters = decode_parameters(query_string)
    given = {name: text for name, text in parameters if name in OF_THE_FEED}
    if given.get("cursor") == "":
        raise InvalidQuery("The cursor is empty.", hint="Leave it out to begin with what happens from now on.")
    tables = [table] if table is not None else tables_of(given.get("tables", ""))
    if table is not None and "tables" in given:
        raise InvalidQuery("'tables' is for /api/v1/-/changes, the feed of several tables.")
    by_table: dict[str, list[tuple[str, str]]] = {name: [] for name in tables}
    for name, text in parameters:
        if name not in OF_THE_FEED:
            owner, rest = (tables[0], name) if table is not None else _owned(name, tables)
            by_table[owner].append((rest, text))
    return FollowRequest(
        {name: tuple(found) for name, found in by_table.items()},
        last_event_id or given.get("cursor"),  # EventSource comes back with its id, to the URL that it began with
        _flag("snapshot", given.get("snapshot", "false")),
        _seconds(given.get("wait")),
    )


def read_plans(
    by_table: Mapping[str, Parameters], policy: Policy, principal: Principal, bounds: Bounds
) -> list[ReadPlan]:
    """What is shown of each table, and of which rows, before policy, by the parameters of each.

    Raises:
        InvalidQuery: a feed cannot be asked so.
        TableNotFound, AuthenticationFailed, Forbidden: as for reading them.
    """
    return [
        _plan(policy.resource(principal, name), parameters, policy, principal, bounds)
        for name, parameters in by_table.items()
    ]


def make_feed(plans: list[ReadPlan], tracked: list[Logged], policy: Policy, principal: Principal) -> Feed:
    """The feed of these tables as far as the caller may read them. `tracked` is what the log has of each.

    Raises:
        AuthenticationFailed, Forbidden: the caller may not read one of them.
        Conflict: it needs a column that the log does not have.
        InvalidQuery: one of them is a part of another.
    """
    tables = []
    everything = [number for logged in tracked for number in logged.numbers]
    if len(everything) != len(set(everything)):
        raise InvalidQuery("One of the tables inherits from another: its changes are among those of the other.")
    for plan, logged in zip(plans, tracked, strict=True):
        rows = policy.rows(principal, plan.resource, Action.READ)
        logged.require(plan, rows)
        tables.append(
            FollowedTable(
                ReadPlan(policy.followed(plan.resource), logged.shown(plan)),
                Bind(logged.numbers, BindKind.LIST),
                Bind(logged.read_since),
                where=fresh(plan.where),
                was_where=fresh(plan.where),
                visible=rows,
                was_visible=fresh(rows),
                is_family=logged.is_family,
            )
        )
    return Feed.of(tuple(tables))


def _plan(resource: Resource, parameters: Parameters, policy: Policy, principal: Principal, bounds: Bounds) -> ReadPlan:
    if refused := sorted(_OF_LISTS.intersection(name for name, _ in parameters)):
        raise InvalidQuery(f"Changes take no {', '.join(refused)}: they come as they happened.")
    plan = parse_parameters(policy.visible(principal), resource, parameters, bounds).plan
    if plan.embeds or plan.is_grouped:
        raise InvalidQuery(
            "A feed has the table's own columns: nothing is embedded or aggregated.", hint="Follow the other table too."
        )
    if not any(isinstance(item, Selected) for item in plan.select):
        plan = replace(plan, select=ReadPlan(resource).select)
    return ReadPlan(resource, plan.select, plan.where, plan.order)


def tables_of(text: str) -> list[str]:
    """The tables that a parameter names.

    Raises:
        InvalidQuery: it names none, or too many.
    """
    if not text:
        raise InvalidQuery("No table is named.", hint="Write ?tables=flights,weather.")
    reader = Reader(text, "'tables'")
    tables = list(dict.fromkeys(reader.list_of(lambda: reader.quoted() if reader.next_is('"') else reader.until(","))))
    reader.expect_end()
    if len(tables) > _MOST_TABLES:
        raise InvalidQuery(f"A feed has {_MOST_TABLES} tables at most.")
    return tables


def _owned(name: str, tables: list[str]) -> tuple[str, str]:
    """The table that a parameter belongs to, `flights.carrier`, and what is left of its name."""
    for table in sorted(tables, key=len, reverse=True):
        if name.startswith(f"{table}."):
            return table, name.removeprefix(f"{table}.")
    raise InvalidQuery(
        f"{name!r} names none of the tables.", hint=f"Write the table before the column: {tables[0]}.{name}=…"
    )


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise InvalidQuery(f"{name!r} is true or false.")
    return text == "true"


def _seconds(text: str | None) -> float:
    if text is None:
        return _WAIT_SECONDS
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= _MOST_WAIT_SECONDS):
        raise InvalidQuery(f"'wait' is a whole number of seconds, {_MOST_WAIT_SECONDS} at most.")
    return int(text)
