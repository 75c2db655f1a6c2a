"""POST, PATCH and DELETE of a table."""

from collections.abc import Callable
from dataclasses import replace

from service.api.v1.body import Payload, read_payload
from service.api.v1.exchange import Answer, Request
from service.api.v1.import_rows import ImportHandlers, import_format
from service.api.v1.media import PLANS, Media
from service.api.v1.paths import item_url
from service.api.v1.preferences import Return
from service.api.v1.read import require_one
from service.api.v1.write_item import ItemWriteHandlers
from service.api.v1.writing import WriteRequest, WriteTools, explained, rows_answer, selected, version_predicate
from service.catalog.resource import Resource
from service.core.errors import (
    InvalidBody,
    InvalidQuery,
    MethodNotAllowed,
    PreconditionFailed,
    RowNotFound,
    UnfilteredWrite,
)
from service.core.settings import UnfilteredWrites
from service.core.types import Action
from service.crud.write import Outcome
from service.db.runner import Row, Unit
from service.query.plan import Bind, BindKind, DeletePlan, InsertPlan, OnConflict, UpdatePlan, WritePlan, all_of


class TableWriteHandlers:
    """Writes of any number of rows, each write all or nothing."""

    def __init__(self, tools: WriteTools, items: ItemWriteHandlers, imports: ImportHandlers) -> None:
        self._tools = tools
        self._items = items
        self._imports = imports

    async def insert(self, request: Request, resource: Resource) -> Answer:
        """Insert one row, or many. A single one is told by its `Location` and `ETag`."""
        if (form := import_format(request)) is not None:
            return await self._imports.insert(request, resource, form)
        write = WriteRequest.read(request, resource, self._tools)
        if write.where is not None:
            raise InvalidQuery("An insert takes no filter.", hint="PATCH changes the rows that a filter selects.")
        self._tools.policy.rows(request.principal, resource, Action.CREATE)
        _require(resource.abilities.can_insert, request)
        query, preferences = write.query, write.preferences
        if not (query.on_conflict or resource.key):  # nothing that rows could conflict in
            preferences = preferences.without_resolution()
            write = replace(write, preferences=preferences)
        limit = self._tools.settings.api_max_body_bytes
        payload = await read_payload(request, resource, query.columns, limit, Action.CREATE)
        if not payload.rows:
            if write.form.is_object:
                require_one(0)
            return rows_answer(_nothing(write), write, 200 if preferences.resolution is OnConflict.REPLACE else 201)
        plan = InsertPlan(
            resource,
            query.columns or tuple(payload.rows[0]),
            Bind(payload.body, BindKind.JSON),
            write.written,
            on_conflict=preferences.resolution or OnConflict.FAIL,
            conflict=query.on_conflict or (),
            fills_missing=preferences.fills_missing and query.columns is not None,
        )
        if write.form.media in PLANS:
            return await explained(plan, request, write, self._tools)
        unit = self._of_all_rows(plan, request, len(payload.rows), write.unit())
        outcome = await self._tools.writer.run(plan, request.principal, unit, render=write.form.of_writes)
        is_replaced = plan.on_conflict is OnConflict.REPLACE and outcome.rows and not outcome.is_new
        answer = rows_answer(outcome, write, 200 if is_replaced else 201)
        if outcome.key and outcome.version is not None:
            if all(name != b"location" for name, _ in answer.headers):  # a trigger may have set it
                answer.add(b"location", item_url(request.prefix, resource, outcome.key))
            answer.add(b"etag", f'"{outcome.version}"')
        return answer

    async def update(self, request: Request, resource: Resource) -> Answer:
        """Make the same change to every row that the filter selects; by an array, its own to each row that it names."""
        write = WriteRequest.read(request, resource, self._tools)
        self._tools.policy.rows(request.principal, resource, Action.UPDATE)
        _require(resource.abilities.can_update, request)
        limit = self._tools.settings.api_max_body_bytes
        payload = await read_payload(request, resource, write.query.columns, limit, Action.UPDATE)
        if _is_by_key(payload, resource):
            return await self._update_by_key(request, resource, write, payload)
        self._refuse_unfiltered(write, "PATCH")
        if len(payload.rows) > 1:
            raise InvalidBody(
                "A PATCH makes one change: the body must be one JSON object.",
                hint="An array changes many rows differently if each of its objects names the key.",
            )
        columns = write.query.columns or tuple(payload.rows[0] if payload.rows else ())
        if not (columns and payload.rows):
            return rows_answer(_nothing(write), write, 200)
        where = all_of(selected(request, resource, write, self._tools), version_predicate(request, self._tools))
        missing: tuple[str, ...] = ()
        if write.preferences.fills_missing:
            missing = tuple(name for name in columns if name not in payload.rows[0])
            columns = tuple(name for name in columns if name not in missing)
        plan = UpdatePlan(
            resource,
            columns,
            Bind(payload.body, BindKind.JSON),
            where,
            write.written,
            missing,
            with_deleted=write.with_deleted,
        )
        return await self._run(plan, request, write, has_range=True)

    def _of_all_rows(self, plan: InsertPlan, request: Request, rows: int, unit: Unit | None) -> Unit | None:
        """An upsert that may not touch each row that is there touches none: a part of it would be half a write."""
        if plan.on_conflict is not OnConflict.REPLACE:
            return unit
        if self._tools.policy.rows(request.principal, plan.resource, Action.UPDATE) is None:
            return unit
        return replace(unit or Unit(), verify=_every_row(rows))

    async def _update_by_key(
        self, request: Request, resource: Resource, write: WriteRequest, payload: Payload
    ) -> Answer:
        """Change each row that the array names, or none of them where one is not there."""
        columns = write.query.columns or tuple(payload.rows[0])
        if not set(columns) - set(resource.key):
            raise InvalidBody("The body names no column to change.")
        if len({tuple(map(str, map(row.get, resource.key))) for row in payload.rows}) < len(payload.rows):
            raise InvalidBody("The body names a row twice.")
        where = all_of(selected(request, resource, write, self._tools), version_predicate(request, self._tools))
        body = Bind(payload.body, BindKind.JSON)
        plan = UpdatePlan(
            resource, columns, body, where, write.written, is_by_key=True, with_deleted=write.with_deleted
        )
        if write.form.media in PLANS:
            return await explained(plan, request, write, self._tools)
        unit = replace(write.unit() or Unit(), verify=_every_row(len(payload.rows)))
        outcome = await self._tools.writer.run(plan, request.principal, unit, render=write.form.of_writes)
        return rows_answer(outcome, write, 200, has_range=True)

    async def delete(self, request: Request, resource: Resource) -> Answer:
        """Delete every row that the filter selects."""
        write = WriteRequest.read(request, resource, self._tools, default=Return.MINIMAL)
        self._refuse_unfiltered(write, "DELETE")
        _require(resource.abilities.can_delete, request)
        where = all_of(selected(request, resource, write, self._tools), version_predicate(request, self._tools))
        return await self._run(
            DeletePlan(resource, where, write.written, with_deleted=write.with_deleted), request, write
        )

    async def upsert(self, request: Request, resource: Resource) -> Answer:
        """Insert or replace the row whose key the filters name, as PostgREST's clients do."""
        return await self._items.replace(request, resource, None)

    async def _run(self, plan: WritePlan, request: Request, write: WriteRequest, *, has_range: bool = False) -> Answer:
        if write.form.media in PLANS:
            return await explained(plan, request, write, self._tools)
        outcome = await self._tools.writer.run(plan, request.principal, write.unit(), render=write.form.of_writes)
        if not outcome.rows and request.header(b"if-match") is not None:
            raise PreconditionFailed("No row that the filter selects is in the version that If-Match names.")
        return rows_answer(outcome, write, 200, has_range=has_range)

    def _refuse_unfiltered(self, write: WriteRequest, method: str) -> None:
        is_bounded = write.where is not None or write.preferences.max_affected is not None
        if not is_bounded and self._tools.settings.api_unfiltered_writes is UnfilteredWrites.REFUSE:
            raise UnfilteredWrite(
                f"A {method} without a filter would touch every row.",
                hint="Add a filter, or say how many rows it may touch: Prefer: max-affected=100.",
            )


def _is_by_key(payload: Payload, resource: Resource) -> bool:
    """Whether it is an array whose objects all name the key."""
    is_array = payload.is_array and bool(payload.rows) and bool(resource.key)
    return is_array and all(set(resource.key) <= row.keys() for row in payload.rows)


def _every_row(wanted: int) -> Callable[[Row], None]:
    def verify(row: Row) -> None:
        if row[1] != wanted:
            raise RowNotFound(
                f"Of {wanted} rows {wanted - row[1]} are not there, or not yours to write; nothing was changed."
            )

    return verify


def _nothing(write: WriteRequest) -> Outcome:
    """What a body without rows or columns writes."""
    empty = b"" if write.form.media is Media.CSV else b"[]"
    return Outcome(empty if write.written.answer else None, 0, None, None, False)


def _require(is_able: bool, request: Request) -> None:
    """Refuse what PostgreSQL cannot do with these rows, such as a write of a view that joins tables."""
    if not is_able:
        raise MethodNotAllowed(
            f"PostgreSQL cannot {_VERBS[request.method]} rows of this view.", allow="GET, HEAD, OPTIONS"
        )


_VERBS = {"POST": "insert", "PATCH": "update", "PUT": "replace", "DELETE": "delete"}
