"""POST, PATCH and DELETE of a table."""

from service.api.v1.body import read_row, read_rows
from service.api.v1.exchange import Answer, Request
from service.api.v1.paths import item_url
from service.api.v1.preferences import Return
from service.api.v1.writing import WriteRequest, WriteTools, rows_answer, version_predicate
from service.catalog.resource import Resource
from service.core.errors import InvalidBody, InvalidQuery, PreconditionFailed, UnfilteredWrite
from service.core.types import Action
from service.crud.write import Outcome
from service.query.plan import Bind, BindKind, DeletePlan, InsertPlan, UpdatePlan, WritePlan, all_of


class TableWriteHandlers:
    """Writes of any number of rows, each write all or nothing."""

    def __init__(self, tools: WriteTools) -> None:
        self._tools = tools

    async def insert(self, request: Request, resource: Resource) -> Answer:
        """Insert one row, or many. A single one is told by its `Location` and `ETag`."""
        write = WriteRequest.read(request, resource, self._tools)
        if write.asked.where is not None:
            raise InvalidQuery("An insert takes no filter.", hint="PATCH changes the rows that a filter selects.")
        self._tools.policy.rows(request.principal, resource, Action.CREATE)
        body, rows = await read_rows(request, resource, self._tools.max_body_bytes)
        if not rows:
            return rows_answer(Outcome(b"[]", 0, None, None, False), write, 201)
        if not rows[0]:
            raise InvalidBody("The body names no column.")
        plan = InsertPlan(resource, tuple(rows[0]), Bind(body, BindKind.JSON), write.written)
        outcome = await self._tools.writer.run(plan, request.principal)
        answer = rows_answer(outcome, write, 201)
        if outcome.key is not None and outcome.version is not None:
            answer.add(b"location", item_url(request.prefix, resource, outcome.key))
            answer.add(b"etag", f'"{outcome.version}"')
        return answer

    async def update(self, request: Request, resource: Resource) -> Answer:
        """Make the same change to every row that the filter selects."""
        write = WriteRequest.read(request, resource, self._tools)
        _refuse_unfiltered(write, "PATCH")
        self._tools.policy.rows(request.principal, resource, Action.UPDATE)
        body, row = await read_row(request, resource, self._tools.max_body_bytes)
        if not row:
            raise InvalidBody("The body names no column to change.")
        where = all_of(write.asked.where, version_predicate(request, self._tools))
        plan = UpdatePlan(resource, tuple(row), Bind(body, BindKind.JSON), where, write.written)
        return await self._run(plan, request, write)

    async def delete(self, request: Request, resource: Resource) -> Answer:
        """Delete every row that the filter selects."""
        write = WriteRequest.read(request, resource, self._tools, default=Return.MINIMAL)
        _refuse_unfiltered(write, "DELETE")
        where = all_of(write.asked.where, version_predicate(request, self._tools))
        return await self._run(DeletePlan(resource, where, write.written), request, write)

    async def _run(self, plan: WritePlan, request: Request, write: WriteRequest) -> Answer:
        outcome = await self._tools.writer.run(plan, request.principal)
        if not outcome.rows and request.header(b"if-match") is not None:
            raise PreconditionFailed("No row that the filter selects is in the version that If-Match names.")
        return rows_answer(outcome, write, 200)


def _refuse_unfiltered(write: WriteRequest, method: str) -> None:
    if write.asked.where is None and write.preferences.max_affected is None:
        raise UnfilteredWrite(
            f"A {method} without a filter would touch every row.",
            hint="Add a filter, or say how many rows it may touch: Prefer: max-affected=100.",
        )
