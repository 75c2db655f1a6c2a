"""`…/-/history` and `…/-/trash`: what was done to rows, and what was deleted."""

from dataclasses import dataclass, replace

from starlette.types import Scope

from service.api.v1.exchange import Answer, Request
from service.api.v1.paths import HistoryPath, key_values
from service.api.v1.read import kept_parameters
from service.auth.policy import Policy
from service.auth.principal import Principal
from service.core.errors import Conflict, InvalidQuery, MethodNotAllowed
from service.events.follow_request import make_feed, read_plans, tables_of
from service.events.history import Entry, History, HistoryPage
from service.events.log import ChangeLog
from service.events.past import time_of
from service.query.parse.parameters import Bounds, Parameters, decode_parameters
from service.query.plan import Bind, BindKind, FollowedTable, HistoryPlan

_LATEST = str(2**63 - 1)
_METHODS = ("GET", "HEAD", "OPTIONS")
_OPERATIONS = {"insert": "i", "update": "u", "delete": "d", "truncate": "t"}
# What asks for the past of `/api/v1/-/changes` rather than for its feed.
_OF_HISTORY = frozenset({"actor", "request", "transaction", "since", "until", "operation"})
_OF_PAGES = frozenset({"limit", "cursor", "tables"})
# Of all tables alone: of one it could be a column's name.
_WITHIN = "within"
_MOST_WITHIN = 10_000
_PAGE = 100
_NOTHING = HistoryPage([], None)


def asks_for_history(scope: Scope) -> bool:
    """Whether a request to `/api/v1/-/changes` is for what was, and not for the feed: its filters name their tables."""
    if scope["type"] != "http" or not scope["query_string"]:
        return False
    return any(name in _OF_HISTORY for name, _ in decode_parameters(scope["query_string"]))


class HistoryHandlers:
    """Answers with changes, the latest first, in pages."""

    def __init__(self, history: History, log: ChangeLog, policy: Policy, max_rows: int, max_depth: int) -> None:
        self._history = history
        self._log = log
        self._policy = policy
        self._max_rows = max_rows
        self._bounds = Bounds(max_rows, max_depth, allows_aggregates=False)

    async def serve(self, path: HistoryPath, request: Request) -> Answer:
        """The changes of a row, of a table, or of several; or what is in a table's trash.

        Raises:
            MethodNotAllowed: it is not read.
            InvalidQuery: it cannot be asked so.
            TableNotFound, AuthenticationFailed, Forbidden: as for reading the tables.
            Conflict: a table is not tracked, or has no key by which its trash could be told.
        """
        if request.method == "OPTIONS":
            return Answer(204, headers=[(b"allow", ", ".join(_METHODS).encode())])
        if request.method not in _METHODS:
            raise MethodNotAllowed(f"This does not take {request.method}.", allow=", ".join(_METHODS))
        asked = parse_history(decode_parameters(request.query_string), self._max_rows, is_of_all=path.table is None)
        tables = await self._tables(path, asked, request.principal)
        page = _NOTHING
        if tables:
            page = await self._history.page(self._plan(path, asked, tables), asked.limit, within=asked.within)
        answer = Answer(200, b"[%s]" % b",".join(entry.body for entry in page.entries))
        if page.following is not None:
            query = "&".join(
                [*kept_parameters(request.query_string), f"limit={asked.limit}", f"cursor={page.following}"]
            )
            answer.add(b"link", f'<{request.prefix}{path.url}?{query}>; rel="next"')
        return answer

    async def entries(self, path: HistoryPath, asked: "Asked", principal: Principal) -> list[Entry]:
        """The first page of the changes. Raises: as `serve`."""
        tables = await self._tables(path, asked, principal)
        return await self._history.entries(self._plan(path, asked, tables)) if tables else []

    async def _tables(self, path: HistoryPath, asked: "Asked", principal: Principal) -> tuple[FollowedTable, ...]:
        policy = self._policy
        names = [path.table] if path.table is not None else await self._named(asked, principal)
        filters = {name: asked.filters if path.table is not None else () for name in names}
        plans = read_plans(filters, policy, principal, self._bounds)
        if path.key is not None and plans[0].where is not None:
            raise InvalidQuery("The history of a row takes no filters of its columns.")
        if path.is_trash and not plans[0].resource.key:
            raise Conflict(
                f"{path.table!r} has no key that you may read, so that what was deleted cannot be told apart."
            )
        tracked = [await self._log.tracked(plan.resource) for plan in plans]
        return make_feed(plans, tracked, policy, principal).tables

    async def _named(self, asked: "Asked", principal: Principal) -> list[str]:
        """The tables that are named; or all that are tracked and may be read."""
        if asked.filters:
            name = asked.filters[0][0]
            raise InvalidQuery(f"{name!r} is nothing that a history of several tables can be asked for.")
        if asked.tables:
            return asked.tables
        return await self._log.readable(self._policy, principal)

    def _plan(self, path: HistoryPath, asked: "Asked", tables: tuple[FollowedTable, ...]) -> HistoryPlan:
        key = () if path.key is None else key_values(tables[0].read.resource, path.key)
        return replace(asked.plan, tables=tables, key=tuple(map(Bind, key)), is_trash=path.is_trash)


@dataclass(frozen=True, slots=True)
class Asked:
    """The query string of a history. `plan` is without its tables; `within` is how many of the log's latest changes are
    looked at.
    """

    plan: HistoryPlan
    limit: int
    tables: list[str]
    filters: Parameters
    within: int | None = None


def parse_history(parameters: Parameters, max_rows: int, *, is_of_all: bool = False) -> Asked:
    """Read the query string.

    Raises:
        InvalidQuery: a value is none of those that can be given.
    """
    known = _OF_HISTORY | _OF_PAGES | ({_WITHIN} if is_of_all else set())
    given = {name: text for name, text in parameters if name in known}
    limit = min(int(_number("limit", given.get("limit", str(_PAGE)))), max_rows)
    operations = given.get("operation")
    plan = HistoryPlan(
        (),
        before=Bind(_number("cursor", given.get("cursor", _LATEST))),
        limit=Bind(str(limit)),
        actor=_bind(given.get("actor")),
        request=_bind(given.get("request")),
        transaction=_bind(given.get("transaction") and _number("transaction", given["transaction"])),
        since=_bind(given.get("since") and time_of(given["since"])),
        until=_bind(given.get("until") and time_of(given["until"])),
        operations=None if operations is None else Bind(_operations(operations), BindKind.LIST),
    )
    rest = tuple((name, text) for name, text in parameters if name not in known)
    if any(name == "select" for name, _ in rest):
        raise InvalidQuery("A history has whole rows: leave out select.")
    within = min(int(_number(_WITHIN, given[_WITHIN])), _MOST_WITHIN) if _WITHIN in given else None
    return Asked(plan, limit, tables_of(given["tables"]) if "tables" in given else [], rest, within)


def _operations(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in _OPERATIONS]:
        raise InvalidQuery(f"{unknown[0]!r} is no operation.", hint=f"Write {', '.join(_OPERATIONS)}.")
    return [_OPERATIONS[name] for name in names]


def _number(name: str, text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) < 2**63):
        raise InvalidQuery(f"{name!r} is a whole number.")
    return text


def _bind(text: str | None) -> Bind | None:
    return None if text is None else Bind(text)
