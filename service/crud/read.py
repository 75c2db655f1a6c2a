"""Reads: policy, compile, execute, bytes. PostgreSQL renders the JSON; rows never become Python objects."""

from collections.abc import Callable
from dataclasses import dataclass

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.core.errors import RowhouseError, RowNotFound
from service.crud.explain import explain
from service.crud.statements import StatementCache
from service.db.pool import Row, TablePool
from service.query.compile.read import compile_item, compile_list
from service.query.compile.statement import Statement
from service.query.plan import ReadPlan


@dataclass(frozen=True, slots=True)
class Page:
    """A JSON array, the number of its rows, the sort values of the last one (JSON), and the count if asked for."""

    body: bytes
    rows: int
    last_key: bytes | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Item:
    """A row as JSON, and its version."""

    body: bytes
    version: str


class Reader:
    """Runs read plans, as far as the caller may see."""

    def __init__(self, pool: TablePool, policy: Policy, statements: StatementCache) -> None:
        self._pool = pool
        self._policy = policy
        self._statements = statements

    async def page(self, plan: ReadPlan, principal: Principal) -> Page:
        """One page of rows.

        Raises: as `Policy.rows`; DatabaseUnavailable; InvalidBody and others for values that PostgreSQL refuses.
        """
        row = await self._run(compile_list, plan, principal)
        assert row is not None
        return Page(row[0], row[1], row[2] if row[1] else None, row[3])

    async def item(self, plan: ReadPlan, principal: Principal) -> Item:
        """One row.

        Raises: as `page`; RowNotFound where there is none, or none that the caller may see.
        """
        row = await self._run(compile_item, plan, principal)
        if row is None:
            raise RowNotFound(f"There is no such row in {plan.resource.name!r}.")
        return Item(row[0], f"{self._pool.epoch}.{row[1]}")

    async def _run(
        self, compile_plan: Callable[[ReadPlan], Statement], asked: ReadPlan, principal: Principal
    ) -> Row | None:
        plan = self._policy.restrict(asked, principal)
        statement = self._statements.get(compile_plan, plan)
        try:
            return await self._pool.read(statement.sql, statement.arguments(plan, self._pool.epoch))
        except RowhouseError as error:
            raise explain(error, asked, plan) from error
