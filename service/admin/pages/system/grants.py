"""What each role may do, for administrators."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import select
from starlette.responses import Response

from service.admin.filters import conditions_of, quoted_name
from service.admin.pages.system.sent import text_in, word_in
from service.admin.slug import from_slug, to_slug
from service.admin.visit import Visit
from service.auth.policy import FUNCTIONS
from service.catalog.catalog import Catalog
from service.core.errors import InvalidBody, InvalidQuery, RowhouseError, RowNotFound
from service.core.types import OF_COLUMNS, OF_TABLES, Action, Role
from service.crud import accounts
from service.crud.accounts import Extent, Granted
from service.crud.grant_check import check_rows, columns_of, find_function
from service.models.system import Grant
from service.query.parse.parameters import decode_parameters
from service.query.parse.request import parse_filter
from service.query.plan import ReadPlan

# Administrators may do everything, without any grant.
_ROLES = (Role.VIEWER, Role.EDITOR)


@dataclass(frozen=True, slots=True)
class Line:
    """What a role may do with a table. Each action has its rows in words; empty for all."""

    role: str
    table: str
    actions: list[tuple[str, str]]
    path: str
    is_served: bool


async def show(visit: Visit) -> Response:
    """All that is granted."""
    ordered = select(Grant).order_by(Grant.table_name, Grant.role, Grant.action)
    async with visit.runtime.unit_of_work.begin() as session:
        grants = (await session.scalars(ordered)).all()
    catalog = visit.runtime.catalog
    names = [one.name for one in catalog]
    functions = sorted({f"{FUNCTIONS}{one.name}" for one in catalog.all_functions()})
    return await visit.page(
        "system/grants.html",
        title="Grants",
        lines=_lines(visit, catalog, grants),
        names=[*sorted(names), *functions],
        roles=_ROLES,
    )


async def choose(visit: Visit) -> Response:
    """To the page of the role and table that were chosen."""
    role, table = _role(word_in(visit, "role")), word_in(visit, "table")
    if not table:
        raise InvalidQuery("Name a table, or rpc/NAME for a function.")
    _require_known(visit.runtime.catalog, table)
    return visit.go(_path(visit, role.value, table))


async def show_one(visit: Visit) -> Response:
    """What one role may do with one table."""
    role, table = _place(visit)
    async with visit.runtime.unit_of_work.begin() as session:
        granted = await accounts.granted(session, role, table)
    return await _form(visit, role, table, granted, granted)


async def change(visit: Visit) -> Response:
    """Grant what is ticked, and nothing else, if it is still as the form showed it."""
    role, table = _place(visit)
    shown, to = _sent(visit, "was.", table), _sent(visit, "now.", table)
    try:
        if to:
            _require_known(visit.runtime.catalog, table)
        changed = [extent for action, extent in to.items() if shown.get(action) != extent]
        for row_filter in dict.fromkeys(extent.rows for extent in changed if extent.rows):
            await _check(visit, table, row_filter)
    except (InvalidQuery, InvalidBody) as error:
        return await _form(visit, role, table, shown, to, error)
    async with visit.runtime.unit_of_work.begin() as session:
        await accounts.change_grants(session, role, table, shown, to, visit.by)
    words = ", ".join(action.value for action in to) or "do nothing"
    return visit.go(visit.at("-", "grants"), f"A {role.value} may now {words} with {table}.")


async def _form(
    visit: Visit, role: Role, table: str, shown: Granted, to: Granted, error: RowhouseError | None = None
) -> Response:
    return await visit.page(
        "system/grant.html",
        200 if error is None else 422,
        title=f"What the role {role.value} may do with {table}",
        role=role,
        table=table,
        actions=_actions_of(table),
        shown=shown,
        to=to,
        words={action: rows_in_words(visit.runtime.catalog, table, extent.rows) for action, extent in to.items()},
        of_columns=OF_COLUMNS,
        columns_text=lambda extent: ",".join(map(quoted_name, extent.columns or ())),
        columns=list(found.columns) if (found := visit.runtime.catalog.find(table)) else [],
        path=_path(visit, role.value, table),
        error=error,
    )


def rows_in_words(catalog: Catalog, table: str, row_filter: str | None) -> str:
    """A filter as people read it; empty for all rows."""
    if not row_filter:
        return ""
    resource = catalog.find(table)
    if resource is None:
        return row_filter
    try:
        conditions = conditions_of(resource, decode_parameters(row_filter.encode()))
    except RowhouseError:
        return row_filter
    return " and ".join(" ".join(filter(None, (one.column, one.words, one.value))) for one in conditions)


def _lines(visit: Visit, catalog: Catalog, grants: Sequence[Grant]) -> list[Line]:
    lines = []
    for (table, role), group in groupby(grants, lambda one: (one.table_name, one.role)):
        actions = [(one.action, _extent_in_words(catalog, one)) for one in group]
        is_served = table.startswith(FUNCTIONS) or catalog.find(table) is not None
        lines.append(Line(role, table, actions, _path(visit, role, table), is_served))
    return lines


def _extent_in_words(catalog: Catalog, grant: Grant) -> str:
    rows = rows_in_words(catalog, grant.table_name, grant.row_filter)
    columns = f"of {', '.join(grant.columns)}" if grant.columns is not None else ""
    return " ".join(filter(None, (columns, f"where {rows}" if rows else "")))


async def _check(visit: Visit, table: str, row_filter: str) -> None:
    """Raises: InvalidQuery, InvalidBody: the filter cannot be used."""
    resource = visit.runtime.catalog.get(table)
    where = parse_filter(resource, row_filter, visit.state.settings.api.api_max_depth)
    await check_rows(visit.runtime.pool.read_all, ReadPlan(resource, where=where))


def _sent(visit: Visit, prefix: str, table: str) -> Granted:
    """The actions of the form, with their filters and columns.

    Raises:
        InvalidQuery, UnknownColumn: the columns are none.
    """
    found: dict[Action, Extent] = {}
    resource = visit.runtime.catalog.find(table)
    for action in _actions_of(table):
        if f"{prefix}{action.value}" in visit.form:
            rows = text_in(visit.form, f"{prefix}rows.{action.value}").strip()
            listed = text_in(visit.form, f"{prefix}columns.{action.value}").strip() if action in OF_COLUMNS else ""
            columns = tuple(columns_of(resource, listed)) if listed and resource is not None else None
            found[action] = Extent(rows or None, columns)
    return found


def _require_known(catalog: Catalog, table: str) -> None:
    """Raises: TableNotFound."""
    if table.startswith(FUNCTIONS):
        find_function(catalog, table.removeprefix(FUNCTIONS))
    else:
        catalog.get(table)


def _actions_of(table: str) -> Sequence[Action]:
    return (Action.EXECUTE,) if table.startswith(FUNCTIONS) else OF_TABLES


def _place(visit: Visit) -> tuple[Role, str]:
    return _role(visit.request.path_params["role"]), from_slug(visit.request.path_params["table"])


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise RowNotFound("There is no such role.") from None


def _path(visit: Visit, role: str, table: str) -> str:
    return visit.at("-", "grants", role, to_slug(table))
