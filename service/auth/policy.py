"""Who may do what, as predicates that are added to plans. One rule for every surface.

A grant lets a role do an action on a table, on the rows that its filter selects. Nothing is granted by default;
administrators may do everything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from time import monotonic

import structlog
from sqlalchemy import select

from service.auth.principal import Principal
from service.catalog.catalog import Catalog
from service.catalog.handler import Handler
from service.catalog.resource import ColumnRights, Resource
from service.core.errors import AuthenticationFailed, Forbidden, RowhouseError
from service.core.single_flight import SingleFlight
from service.core.types import OF_COLUMNS, Action, Role
from service.db.engine import UnitOfWork
from service.models.system import Grant
from service.query.parse.request import parse_filter
from service.query.plan import Embedded, Predicate, ReadPlan, all_of
from service.query.soft_delete import live, without_deleted
from service.query.walk import fresh, guarded

_MAX_DEPTH = 8
# Grants name a function as its path does. A grant of a table of such a name knows no `execute`.
FUNCTIONS = "rpc/"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant as it is kept: the rows are a filter of the query language, None for all; as are the columns."""

    role: Role
    table: str
    action: Action
    row_filter: str | None
    columns: tuple[str, ...] | None = None


class Grants:
    """What is granted: for a role and table, each allowed action with the rows that it reaches (None: all), and the
    columns of reading and setting (None: all).
    """

    def __init__(self, catalog: Catalog, grants: Iterable["GrantRow"]) -> None:
        self._catalog = catalog
        self._by_role: dict[tuple[Role, str], dict[Action, Predicate | None]] = {}
        self._columns: dict[tuple[Role, str], dict[Action, frozenset[str] | None]] = {}
        self._visible: dict[Role | None, Catalog] = {None: Catalog(()), Role.ADMIN: catalog}
        for grant in grants:
            self._add(grant)

    def of(self, role: Role | None, table: str) -> Mapping[Action, Predicate | None]:
        return self._by_role.get((role, table), {}) if role else {}

    def visible(self, role: Role | None) -> Catalog:
        """The tables that the role may do something with, and the ways between them."""
        if role not in self._visible:
            names = {table for holder, table in self._by_role if holder is role}
            functions = {name.removeprefix(FUNCTIONS) for name in names if name.startswith(FUNCTIONS)}
            tables = {name: self._column_rights(role, name) for name in names}
            self._visible[role] = self._catalog.only(tables, functions)
        return self._visible[role]

    def _column_rights(self, role: Role | None, table: str) -> ColumnRights:
        """Who may read nothing knows the columns that it may set."""
        granted = self._columns.get((role, table), {}) if role else {}
        limited = [columns for columns in granted.values() if columns is not None]
        if not limited:
            return ColumnRights()
        if Action.READ in granted:
            readable = granted[Action.READ]
        else:
            readable = frozenset().union(*limited) if len(limited) == len(granted) else None
        settable = {action: granted.get(action, frozenset()) for action in (Action.CREATE, Action.UPDATE)}
        return ColumnRights(readable, {action: names for action, names in settable.items() if names is not None})

    def _add(self, grant: "GrantRow") -> None:
        if grant.action is Action.EXECUTE:
            self._by_role.setdefault((grant.role, grant.table), {})[Action.EXECUTE] = None
            return
        resource = self._catalog.find(grant.table)
        if resource is None:
            return
        try:
            rows = parse_filter(resource, grant.row_filter, _MAX_DEPTH) if grant.row_filter else None
        except RowhouseError as error:  # its columns have changed: it grants nothing, and the others stand
            _log.error("grant_unusable", role=grant.role, table=grant.table, message=error.message)
            return
        self._by_role.setdefault((grant.role, grant.table), {})[grant.action] = rows
        if grant.action in OF_COLUMNS:
            columns = None if grant.columns is None else frozenset(grant.columns)
            self._columns.setdefault((grant.role, grant.table), {})[grant.action] = columns


class Policy:
    """Reads the grants, believes them for a moment, and restricts plans by them."""

    def __init__(self, unit_of_work: UnitOfWork, catalog: Catalog, believe_for: float) -> None:
        self._unit_of_work = unit_of_work
        self.catalog = catalog
        self._believe_for = believe_for
        self._granted_rows: tuple[GrantRow, ...] = ()
        self._grants = Grants(catalog, ())
        self._fresh_until = 0.0
        self._reading: SingleFlight[None] = SingleFlight()
        self._reads = 0
        self._taken = 0
        self._followed: dict[tuple[str, tuple[str, ...]], Resource] = {}
        self.generation = 0

    async def refresh(self) -> None:
        """Read the grants again if they are older than `CREDENTIAL_CACHE_SECONDS`."""
        if monotonic() >= self._fresh_until:
            await self._reading.run("grants", lambda: self.read(self._unit_of_work))

    async def read(self, unit_of_work: UnitOfWork) -> None:
        """Read the grants again. `generation` tells whether they, or the tables, have changed."""
        self._reads += 1
        number = self._reads
        async with unit_of_work.begin() as session:
            ordered = select(Grant).order_by(Grant.role, Grant.table_name, Grant.action)
            grants = (await session.scalars(ordered)).all()
        if number < self._taken:  # one that began later was faster
            return
        self._taken = number
        rows = tuple(
            GrantRow(
                Role(one.role),
                one.table_name,
                Action(one.action),
                one.row_filter,
                None if one.columns is None else tuple(one.columns),
            )
            for one in grants
        )
        if rows != self._granted_rows:  # else what was parsed and compiled for the visible tables stays good
            self._grants, self._granted_rows = Grants(self.catalog, rows), rows
            self.generation += 1
        self._fresh_until = monotonic() + self._believe_for

    def take(self, catalog: Catalog) -> None:
        """Go on with another catalog, and the same grants."""
        self._grants = Grants(catalog, self._granted_rows)
        self._followed.clear()
        self.catalog = catalog
        self.generation += 1

    def visible(self, principal: Principal) -> Catalog:
        """The tables that the caller may know of, being able to do something with them."""
        return self._grants.visible(principal.role)

    def resource(self, principal: Principal, name: str, schema: str | None = None) -> Resource:
        """A table by name, of the first schema or the one given. What is hidden is answered as what is not there.

        Raises:
            AuthenticationFailed: nothing is granted to anonymous callers here.
            TableNotFound: there is none that the caller may know of.
        """
        if principal.role is None and principal.is_anonymous:
            raise AuthenticationFailed("This needs a credential.", hint="Send an API key or an access token.")
        catalog = self.visible(principal)
        if schema is not None:
            return catalog.get(name, schema)
        return catalog.find(name, catalog.schemas[0]) or catalog.get(name)

    def followed(self, resource: Resource) -> Resource:
        """The table as it is for all who may read the same columns of it: so feeds of several roles may be the same."""
        whole = self.catalog.get(resource.name)
        if not resource.hides_columns:
            return whole
        readable = tuple(resource.columns)
        if (resource.name, readable) not in self._followed:
            self._followed[resource.name, readable] = whole.narrowed(ColumnRights(frozenset(readable)))
        return self._followed[resource.name, readable]

    def may(self, principal: Principal, resource: Resource, action: Action) -> bool:
        return principal.role is Role.ADMIN or action in self._granted(principal, resource)

    def rows(self, principal: Principal, resource: Resource, action: Action) -> Predicate | None:
        """The rows of a table that the caller may do this to; None is all of them.

        Raises:
            AuthenticationFailed: it needs a credential.
            Forbidden: the caller may do other things to this table, but not this.
        """
        if principal.role is Role.ADMIN:
            return None
        granted = self._granted(principal, resource)
        if action in granted:
            return fresh(granted[action])
        if principal.is_anonymous:
            raise AuthenticationFailed("This needs a credential.", hint="Send an API key or an access token.")
        raise Forbidden(f"Your role may not {action.value} rows of {resource.name!r}.")

    def restrict(self, plan: ReadPlan, principal: Principal, *, hides_deleted: bool = True) -> ReadPlan:
        """The plan with the rows that the caller may not see left out, and those that are deleted, embedded tables
        included.

        Raises: as `rows`.
        """
        if hides_deleted:
            plan = without_deleted(plan)
        rows = self.rows(principal, plan.resource, Action.READ)
        plan = self.restrict_embeds(plan, principal)
        return plan if rows is None else replace(plan, where=guarded(plan.where, rows))

    def restrict_embeds(self, plan: ReadPlan, principal: Principal) -> ReadPlan:
        """The same for what is embedded alone. Raises: as `rows`."""
        if not plan.embeds:
            return plan
        select = tuple(
            self._restrict_embed(item, principal) if isinstance(item, Embedded) else item for item in plan.select
        )
        return replace(plan, select=select)

    def _restrict_embed(self, item: Embedded, principal: Principal) -> Embedded:
        """What is embedded, and the junction that leads to it, as far as the caller may read both."""
        plan = self.restrict(item.plan, principal)
        if item.relation.junction is None:
            return replace(item, plan=plan)
        junction = self.catalog.get(item.relation.junction.name)
        between = all_of(self.rows(principal, junction, Action.READ), live(None, junction))
        return replace(item, plan=plan, through=junction, between=between)

    def require(self, principal: Principal, name: str, action: Action) -> None:
        """Refuse what is not granted.

        Raises:
            AuthenticationFailed: it needs a credential.
            Forbidden: it is not granted.
        """
        if principal.role is Role.ADMIN or action in self._grants.of(principal.role, name):
            return
        if principal.is_anonymous:
            raise AuthenticationFailed("This needs a credential.", hint="Send an API key or an access token.")
        raise Forbidden(f"Your role may not {action.value} {name!r}.")

    def handlers(self, principal: Principal, resource: Resource) -> Mapping[str, Handler]:
        """What renders its rows in other media types, as far as it is granted: they are functions."""
        if principal.role is Role.ADMIN or not resource.handlers:
            return resource.handlers
        granted = resource.handlers.items()
        return {
            media_type: one
            for media_type, one in granted
            if Action.EXECUTE in self._grants.of(principal.role, FUNCTIONS + one.name)
        }

    def _granted(self, principal: Principal, resource: Resource) -> Mapping[Action, Predicate | None]:
        return self._grants.of(principal.role, resource.name)
