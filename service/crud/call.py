"""Calls of functions: policy, compile, execute. What a function sets on the connection ends with the call."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from service.auth.policy import FUNCTIONS, Policy
from service.auth.principal import Principal
from service.core.errors import RowhouseError
from service.core.types import Action
from service.crud.explain import explain
from service.crud.read import Page, Said, as_bytes
from service.crud.statements import StatementCache
from service.db.runner import Row, Runner, Unit
from service.query.compile.call import compile_call
from service.query.compile.statement import Statement
from service.query.plan import CallPlan

Compile = Callable[[CallPlan], Statement]


class Caller:
    """Runs call plans, as far as the caller may."""

    def __init__(self, pool: Runner, policy: Policy, statements: StatementCache) -> None:
        self._pool = pool
        self._policy = policy
        self._statements = statements

    async def call(self, plan: CallPlan, principal: Principal, unit: Unit, *, render: Compile = compile_call) -> Page:
        """Call it, in a transaction that knows the caller.

        Raises: Forbidden where it is not granted; what PostgreSQL or the function refuses; DatabaseUnavailable.
        """
        row = await self._run(plan, principal, unit, render, "")
        return Page(as_bytes(row[0]), row[1], row[2] if row[1] else None, row[3], Said(row[4], row[5]))

    async def explained(self, plan: CallPlan, principal: Principal, unit: Unit, options: Sequence[str]) -> bytes:
        """How PostgreSQL would call it, or has, as its EXPLAIN tells with these options. Raises: as `call`."""
        unit = replace(unit, verify=None, is_in_lines=True)
        row = await self._run(plan, principal, unit, compile_call, f"explain ({', '.join(options)}) ")
        return as_bytes(row[0])

    async def _run(self, plan: CallPlan, principal: Principal, unit: Unit, render: Compile, prefix: str) -> Row:
        self._policy.require(principal, FUNCTIONS + plan.function.name, Action.EXECUTE)
        if plan.answer is not None:
            # What a function returns is its own to decide; what is embedded in it is not.
            plan = replace(plan, answer=self._policy.restrict_embeds(plan.answer, principal))
        statement = self._statements.get(render, plan)
        arguments = statement.arguments(plan, self._pool.epoch)
        try:
            row = await self._pool.run(prefix + statement.sql, arguments, replace(unit, cleans=True, is_call=True))
        except RowhouseError as error:
            raise explain(error, plan, plan) from error
        assert row is not None
        return row
