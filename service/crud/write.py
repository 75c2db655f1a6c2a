"""Writes: policy, compile, execute. One statement each; all of it or none."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import orjson

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.catalog.catalog import unsettable
from service.catalog.resource import Resource
from service.core.errors import RowhouseError
from service.core.types import Action
from service.crud.explain import explain, refuse_unfit
from service.crud.read import SILENT, Said, as_bytes
from service.crud.statements import StatementCache
from service.db.runner import Row, Runner, Unit
from service.query.compile.statement import Statement
from service.query.compile.write import compile_write
from service.query.plan import (
    DeletePlan,
    InsertPlan,
    OnConflict,
    ReadPlan,
    Reference,
    UpdatePlan,
    WritePlan,
    Written,
    all_of,
)
from service.query.soft_delete import hiding, live_references, live_update, live_upsert
from service.query.walk import fresh, guarded

Compile = Callable[[WritePlan], Statement]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write did: the rows as rendered (None if not asked for) and their number.

    Of a single row also its version and its key; `is_new` says that it was not there before. `said` is what triggers
    say of the answer.
    """

    body: bytes | None
    rows: int
    version: str | None
    key: tuple[str, ...] | None
    is_new: bool
    said: Said = SILENT


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
        asked, plan = plan, self.restricted(plan, principal)
        row = await self._do(asked, plan, unit, render, "")
        if not row[1] and isinstance(plan, UpdatePlan):
            refuse_unfit(plan)
        body, rows, version, key, is_new = row[0], row[1], row[2], row[3], row[4]
        body = None if body is None else as_bytes(body)
        said = Said(row[5], row[6]) if plan.resource.abilities.runs_code else SILENT
        if rows != 1:
            return Outcome(body, rows, None, None, bool(is_new), said)
        return Outcome(body, 1, f"{self._pool.epoch}.{version}", tuple(orjson.loads(key)), bool(is_new), said)

    async def explained(
        self, plan: WritePlan, principal: Principal, unit: Unit | None, options: Sequence[str]
    ) -> bytes:
        """How PostgreSQL would do it, or has, as its EXPLAIN tells with these options. Raises: as `run`."""
        unit = replace(unit or Unit(), verify=None, is_in_lines=True)
        prefix = f"explain ({', '.join(options)}) "
        return as_bytes((await self._do(plan, self.restricted(plan, principal), unit, compile_write, prefix))[0])

    async def _do(self, asked: WritePlan, plan: WritePlan, unit: Unit | None, render: Compile, prefix: str) -> Row:
        statement = self._statements.get(render, plan)
        try:
            arguments = statement.arguments(plan, self._pool.epoch)
            if statement.runs_code:
                unit = replace(unit or Unit(), cleans=True)
            if unit is None:
                row = await self._pool.write(statement.sql, arguments)
            else:
                row = await self._pool.run(prefix + statement.sql, arguments, unit)
        except RowhouseError as error:
            raise explain(error, asked, plan) from error
        assert row is not None
        return row

    def restricted(self, plan: WritePlan, principal: Principal) -> WritePlan:
        """The plan as far as the caller may. Raises: as `Policy.rows`; Forbidden for columns that it may not set."""
        _require_settable(plan)
        plan = self._refer_to_live(plan)
        match plan:
            case InsertPlan(on_conflict=OnConflict.REPLACE):
                plan = live_upsert(plan)
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
                plan = live_update(plan, self.referrers(plan.resource))
                rows = self._policy.rows(principal, plan.resource, Action.UPDATE)
                written = self._answer(replace(plan.written, check=fresh(rows)), principal)
                return replace(plan, where=guarded(plan.where, rows), written=written)
            case DeletePlan():
                rows = self._policy.rows(principal, plan.resource, Action.DELETE)
                written = self._answer(plan.written, principal)
                restricted = replace(plan, where=guarded(plan.where, rows), written=written)
                if plan.with_deleted or not plan.resource.hides_deleted:
                    return restricted
                return hiding(restricted, self.referrers(plan.resource))

    def _refer_to_live(self, plan: WritePlan) -> WritePlan:
        if isinstance(plan, DeletePlan):
            return plan
        columns = (*plan.columns, *plan.defaults) if isinstance(plan, UpdatePlan) else plan.columns
        references = self._references(plan.resource, is_back=False)
        written = live_references(plan.written, references, columns)
        return plan if written is plan.written else replace(plan, written=written)

    def referrers(self, resource: Resource) -> Iterator[Reference]:
        """What refers to a table by foreign keys, whether the caller may know of it or not."""
        return self._references(resource, is_back=True)

    def _references(self, resource: Resource, *, is_back: bool) -> Iterator[Reference]:
        catalog = self._policy.catalog
        for way in catalog.get(resource.name).relations:
            target = catalog.find(way.target)
            if way.is_back is is_back and way.constraint and target is not None and target.abilities.has_version:
                yield Reference(target, tuple((there, here) for here, there in way.pairs))

    def _answer(self, written: Written, principal: Principal) -> Written:
        """What was written is shown only as far as the caller may read."""
        if written.answer is None:
            return written
        answer: ReadPlan = self._policy.restrict(written.answer, principal, hides_deleted=False)
        return written if answer is written.answer else replace(written, answer=answer)


def _require_settable(plan: WritePlan) -> None:
    """Refuse, with Forbidden, to set a column that the caller may not set. Rows that a body names by their key are
    found by it.
    """
    match plan:
        case InsertPlan(resource=resource, columns=columns):
            error = unsettable(resource, columns, (Action.CREATE,))
            if plan.on_conflict is OnConflict.REPLACE:
                replaced = resource.writable() if plan.resets_others else columns
                found_by = plan.conflict or resource.key
                names = (name for name in replaced if name not in found_by)
                error = error or unsettable(resource, names, (Action.UPDATE,))
        case UpdatePlan(resource=resource):
            found_by = resource.key if plan.is_by_key else ()
            names = (name for name in (*plan.columns, *plan.defaults) if name not in found_by)
            error = unsettable(resource, names, (Action.UPDATE,))
        case DeletePlan():
            return
    if error is not None:
        raise error
