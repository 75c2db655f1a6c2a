"""Writes: policy, compile, execute. One statement each; all of it or none."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.core.errors import RowhouseError
from service.core.types import Action
from service.crud.explain import explain, refuse_unfit
from service.crud.read import as_bytes
from service.crud.statements import StatementCache
from service.db.runner import Runner, Unit
from service.query.compile.statement import Statement
from service.query.compile.write import compile_write
from service.query.plan import (
    DeletePlan,
    InsertPlan,
    OnConflict,
    ReadPlan,
    UpdatePlan,
    WritePlan,
    Written,
    all_of,
)
from service.query.walk import fresh, guarded

Compile = Callable[[WritePlan], Statement]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write did: the rows as rendered (None if not asked for) and their number.

    Of a single row also its version and its key; `is_new` says that it was not there before.
    """

    body: bytes | None
    rows: int
    version: str | None
    key: tuple[str, ...] | None
    is_new: bool


class Writer:
    """Runs write plans, as far as the caller may write."""

    def __init__(self, pool: Runner, policy: Policy, statements: StatementCache) -> None:
        self._pool = pool
        self._policy = policy
        self._statements = statements

    async def run(
        self, plan: WritePlan, principal: Principal, unit: Unit | None = None, *, render: Compile = compile_write
    ) -> Outcome:
        """Do it, in a transaction of its own where one is given.

        Raises: as `Policy.rows`; Conflict, InvalidBody and others for what PostgreSQL refuses; Forbidden where a row
            would end up out of the caller's reach; UnfilteredWrite over `max_affected`; DatabaseUnavailable.
        """
        asked, plan = plan, self._restrict(plan, principal)
        statement = self._statements.get(render, plan)
        try:
            arguments = statement.arguments(plan, self._pool.epoch)
            if statement.runs_code:
                unit = replace(unit or Unit(), cleans=True)
            if unit is None:
                row = await self._pool.write(statement.sql, arguments)
            else:
                row = await self._pool.run(statement.sql, arguments, unit)
        except RowhouseError as error:
            raise explain(error, asked, plan) from error
        assert row is not None
        if not row[1] and isinstance(plan, UpdatePlan):
            refuse_unfit(plan)
        body, rows, version, key, is_new = row[0], row[1], row[2], row[3], row[4]
        body = None if body is None else as_bytes(body)
        if rows != 1:
            return Outcome(body, rows, None, None, bool(is_new))
        return Outcome(body, 1, f"{self._pool.epoch}.{version}", tuple(orjson.loads(key)), bool(is_new))

    def _restrict(self, plan: WritePlan, principal: Principal) -> WritePlan:
        match plan:
            case InsertPlan(on_conflict=OnConflict.REPLACE):
                created = self._policy.rows(principal, plan.resource, Action.CREATE)
                replaceable = self._policy.rows(principal, plan.resource, Action.UPDATE)
                written = replace(plan.written, check=all_of(created, fresh(replaceable)))
                return replace(
                    plan,
                    written=self._answer(written, principal),
                    replaceable=all_of(plan.replaceable, replaceable),
                )
            case InsertPlan():
                check = self._policy.rows(principal, plan.resource, Action.CREATE)
                if check is None and plan.written.answer is None:
                    return plan
                return replace(plan, written=self._answer(replace(plan.written, check=check), principal))
            case UpdatePlan():
                rows = self._policy.rows(principal, plan.resource, Action.UPDATE)
                written = self._answer(replace(plan.written, check=fresh(rows)), principal)
                return replace(plan, where=guarded(plan.where, rows), written=written)
            case DeletePlan():
                rows = self._policy.rows(principal, plan.resource, Action.DELETE)
                written = self._answer(plan.written, principal)
                return replace(plan, where=guarded(plan.where, rows), written=written)

    def _answer(self, written: Written, principal: Principal) -> Written:
        """What was written is shown only as far as the caller may read."""
        if written.answer is None:
            return written
        answer: ReadPlan = self._policy.restrict(written.answer, principal)
        return written if answer is written.answer else replace(written, answer=answer)
