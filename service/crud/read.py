"""Reads: policy, compile, execute, bytes. PostgreSQL renders the JSON; rows never become Python objects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import orjson

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.core.errors import LimitExceeded, RowhouseError, RowNotFound
from service.crud.explain import explain
from service.crud.statements import StatementCache
from service.db.runner import Row, Runner, Unit
from service.query.compile.read import compile_bounded_count, compile_count, compile_item, compile_list
from service.query.compile.statement import Statement
from service.query.plan import Bind, Count, ReadPlan

Compile = Callable[[ReadPlan], Statement]
_EXPLAIN = "explain (format json) "
# Where the options say `analyze`, the statement is run.
_EXPLAINING = Unit(is_read_only=True, is_in_lines=True)


@dataclass(frozen=True, slots=True)
class Said:
    """What a function has set of the answer, as it has written it."""

    status: str | None = None
    headers: str | None = None


SILENT = Said()


@dataclass(frozen=True, slots=True)
class Page:
    """The rows as rendered, their number, the sort values of the last one (JSON), and the count if asked for.

    `said` is what a function that was called says of the answer.
    """

    body: bytes
    rows: int
    last_key: bytes | None
    total: int | None
    said: Said = SILENT


@dataclass(frozen=True, slots=True)
class Item:
    """A row as JSON, and its version."""

    body: bytes
    version: str


class Reader:
    """Runs read plans, as far as the caller may see.

    A count that is estimated is exact up to `count_exactly` rows. A read that PostgreSQL thinks dearer than `max_cost`
    is refused.
    """

    def __init__(
        self,
        pool: Runner,
        policy: Policy,
        statements: StatementCache,
        *,
        count_exactly: int = 10_000,
        max_cost: float | None = None,
    ) -> None:
        self._pool = pool
        self._policy = policy
        self._statements = statements
        self._count_exactly = count_exactly
        self._max_cost = max_cost

    async def page(
        self,
        plan: ReadPlan,
        principal: Principal,
        *,
        render: Compile = compile_list,
        unit: Unit | None = None,
        is_handled: bool = False,
    ) -> Page:
        """One page of rows. Where a function of the database renders them, it may say something of the answer.

        Raises: as `Policy.rows`; DatabaseUnavailable; InvalidBody and others for values that PostgreSQL refuses.
        """
        row = await self._run(render, plan, principal, unit)
        assert row is not None
        total = row[3] if plan.count in (None, Count.EXACT) else await self._estimate(plan, principal, row[1])
        said = Said(row[4], row[5]) if is_handled else SILENT
        return Page(as_bytes(row[0]), row[1], row[2] if row[1] else None, total, said)

    async def item(self, plan: ReadPlan, principal: Principal) -> Item:
        """One row.

        Raises: as `page`; RowNotFound where there is none, or none that the caller may see.
        """
        row = await self._run(compile_item, plan, principal, None)
        if row is None:
            raise RowNotFound(f"There is no such row in {plan.resource.name!r}.")
        return Item(row[0], f"{self._pool.epoch}.{row[1]}")

    async def explained(self, asked: ReadPlan, principal: Principal, options: Sequence[str]) -> bytes:
        """How PostgreSQL would run it, or has, as its EXPLAIN tells with these options. Raises: as `page`."""
        plan = self._policy.restrict(asked, principal)
        statement = self._statements.get(compile_list, plan)
        sql = f"explain ({', '.join(options)}) {statement.sql}"
        try:
            row = await self._pool.run(sql, statement.arguments(plan, self._pool.epoch), _EXPLAINING)
        except RowhouseError as error:
            raise explain(error, asked, plan) from error
        assert row is not None
        return as_bytes(row[0])

    async def _run(self, compile_plan: Compile, asked: ReadPlan, principal: Principal, unit: Unit | None) -> Row | None:
        plan = self._policy.restrict(asked, principal)
        statement = self._statements.get(compile_plan, plan)
        if self._max_cost is not None:
            await self._refuse_dear(statement, plan, asked)
        arguments = statement.arguments(plan, self._pool.epoch)
        try:
            if statement.runs_code:
                unit = replace(unit or Unit(), cleans=True)
            if unit is not None:
                return await self._pool.run(statement.sql, arguments, unit)
            return await self._pool.read(statement.sql, arguments)
        except RowhouseError as error:
            raise explain(error, asked, plan) from error

    async def _estimate(self, asked: ReadPlan, principal: Principal, rows: int) -> int:
        """How many rows there are, as the planner thinks, and not fewer than were counted; or as they are, where they
        are few and it was not the plan alone that was asked for.
        """
        if asked.count is Count.ESTIMATED:
            bounded = replace(asked, after=None, order=(), offset=None, limit=Bind(str(self._count_exactly + 1)))
            counted = await self._run(compile_bounded_count, bounded, principal, None)
            assert counted is not None
            if counted[0] <= self._count_exactly:
                return int(counted[0])
            rows = max(rows, counted[0])
        plan = replace(self._policy.restrict(asked, principal), after=None, order=(), limit=None, offset=None)
        statement = self._statements.get(compile_count, plan)
        found = orjson.loads(await self._explain(statement, plan, asked))
        return max(int(found[0]["Plan"]["Plan Rows"]), rows)

    async def _refuse_dear(self, statement: Statement, plan: ReadPlan, asked: ReadPlan) -> None:
        found = orjson.loads(await self._explain(statement, plan, asked))
        cost = float(found[0]["Plan"]["Total Cost"])
        if self._max_cost is not None and cost > self._max_cost:
            raise LimitExceeded(
                f"PostgreSQL estimates a cost of {cost:.0f}, and {self._max_cost:.0f} is allowed.",
                hint="Narrow the filter, or order by an indexed column.",
            )

    async def _explain(self, statement: Statement, plan: ReadPlan, asked: ReadPlan) -> bytes:
        arguments = statement.arguments(plan, self._pool.epoch)
        try:
            row = await self._pool.read(_EXPLAIN + statement.sql, arguments)
        except RowhouseError as error:
            raise explain(error, asked, plan) from error
        assert row is not None
        return bytes(row[0])


def as_bytes(body: bytes | str) -> bytes:
    return body if isinstance(body, bytes) else body.encode()
