"""Writing staged rows: all of them, or a part, behind a savepoint each time, so that another part may be tried."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import asyncpg

from service.core.errors import (
    Conflict,
    DatabaseRejected,
    DatabaseUnavailable,
    Forbidden,
    InvalidBody,
    RowhouseError,
    RowNotFound,
)
from service.core.states import ROW_POLICY
from service.crud.statements import StatementCache
from service.db.runner import CHECK, Row
from service.db.transaction import Transaction
from service.imports.stage import Stage
from service.query.compile.statement import Statement
from service.query.compile.write import compile_write_counted
from service.query.plan import Bind, InsertPlan, OnConflict, Staged, WritePlan

# A row is there twice in what is to be upserted; a view's condition does not hold.
TWICE = "21000"
_OF_ROWS = (TWICE, "44000")
_SAVEPOINT, _RELEASE = "savepoint part", "release savepoint part"
_GO_BACK = "rollback to savepoint part"
_NOT_YOURS = "row_not_writable"
Compile = Callable[[WritePlan], Statement]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows were written, and how many of them are new."""

    written: int
    new: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.written + other.written, self.new + other.new)


NOTHING = Counts(0, 0)


class Attempt:
    """Writes the staged rows of one plan, as the policy has restricted it."""

    def __init__(self, transaction: Transaction, statements: StatementCache, stage: Stage, plan: InsertPlan) -> None:
        self._transaction = transaction
        self._statements = statements
        self._stage = stage
        self._has_savepoint = False
        self.plan = plan

    async def write(self, first: int, last: int) -> Counts:
        """Write the rows numbered from `first` to `last`, or none of them.

        Raises: what PostgreSQL refuses; RowNotFound where a row that is there is not to be touched.
        """
        row = await self._try(compile_write_counted, first, last, written=0)
        return Counts(row[0], row[1])

    async def write_rendered(self, render: Compile) -> Row:
        """Write all rows, and return them with the rest of what `render` tells. Raises: as `write`."""
        return await self._try(render, self._stage.first, self._stage.last, written=1)

    async def keep(self) -> None:
        """What was done besides the last attempt stays, whatever comes of the next one."""
        if self._has_savepoint:
            await self._transaction.execute(f"{_RELEASE}; {_SAVEPOINT}")

    async def end(self) -> None:
        """Nothing more is tried."""
        await self._transaction.execute(_RELEASE)

    def of(self, first: int, last: int, columns: tuple[str, ...] | None = None) -> InsertPlan:
        """The plan of a part of the rows, or of some of the columns."""
        assert isinstance(self.plan.body, Staged)
        staged = replace(self.plan.body, first=Bind(str(first)), last=Bind(str(last)))
        return replace(self.plan, body=staged, columns=self.plan.columns if columns is None else columns)

    async def _try(self, render: Compile, first: int, last: int, *, written: int) -> Row:
        """Behind a savepoint, which stays for the next part: two round trips, whatever comes of it."""
        if not self._has_savepoint:
            await self._transaction.execute(_SAVEPOINT)
            self._has_savepoint = True
        try:
            row = await self._run(render, first, last)
            await self._verify(row[written], first, last)
            await self._transaction.execute(f"{CHECK}; {_RELEASE}; {_SAVEPOINT}")
        except DatabaseUnavailable:
            raise
        except RowhouseError:
            await self._transaction.execute(_GO_BACK)
            raise
        return row

    async def _run(self, render: Compile, first: int, last: int) -> Row:
        plan = self.of(first, last)
        statement = self._statements.get(render, plan)
        row = await self._transaction.write(statement.sql, statement.arguments(plan, self._transaction.epoch))
        assert row is not None
        return row

    async def _verify(self, written: int, first: int, last: int) -> None:
        """An upsert that may not touch a row that is there has not done what it was asked for."""
        if self.plan.on_conflict is not OnConflict.REPLACE or self.plan.replaceable is None:
            return
        if missing := await self._stage.count_within(first, last) - written:
            raise RowNotFound(
                f"{missing} rows are there already, and deleted or not yours to change; nothing was written.",
                code=_NOT_YOURS,
            )


def is_of_a_row(error: RowhouseError) -> bool:
    """Whether another row might have been written: the error is about what a row holds."""
    match error:
        case Conflict() | InvalidBody():
            return True
        case Forbidden():
            return isinstance(error.__cause__, asyncpg.PostgresError) and error.__cause__.sqlstate == ROW_POLICY
        case RowNotFound():
            return error.stable_code == _NOT_YOURS
        case DatabaseRejected():
            state = error.stable_code
            return state in _OF_ROWS or state[:2] in ("P0", "PT", "22", "23")
    return False
