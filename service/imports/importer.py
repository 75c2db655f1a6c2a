"""Imports: staged, restricted by the policy like any insert, written. All rows or none, or those that can be."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.catalog.catalog import unwritable
from service.catalog.resource import Resource
from service.core.errors import (
    LimitExceeded,
    RowhouseError,
    UnfilteredWrite,
)
from service.core.settings import ImportSettings
from service.core.types import Action
from service.crud.read import as_bytes
from service.crud.statements import StatementCache
from service.crud.write import Writer
from service.db.transaction import Transaction
from service.imports.attempt import NOTHING, TWICE, Attempt, Compile, Counts, is_of_a_row
from service.imports.locate import Locator, repeated_key
from service.imports.order import Imported, Order
from service.imports.rows import Rejections, Rows
from service.imports.stage import Stage
from service.imports.sweep import Sweep
from service.query.compile.write import compile_write_counted
from service.query.plan import Bind, DeletePlan, InsertPlan, OnConflict, Staged, StagedForm, Written

# Told of each phase, and how many rows it is about.
Report = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who imports, by which request, and how the rows are to be answered, if at all: at most so many."""

    principal: Principal
    written: Written
    render: Compile | None = None
    most_answered: int = 0


class Importer:
    """Runs imports in transactions that are given."""

    def __init__(self, policy: Policy, writer: Writer, statements: StatementCache, settings: ImportSettings) -> None:
        self._policy = policy
        self._writer = writer
        self._statements = statements
        self._settings = settings

    def columns(self, resource: Resource, order: Order, rows: Rows) -> tuple[str, ...]:
        """The columns that are written.

        Raises:
            InvalidBody: the body names what is none, or cannot be written.
        """
        columns = rows.names if order.columns is None else order.columns
        actions = (Action.CREATE, Action.UPDATE) if order.on_conflict is OnConflict.REPLACE else (Action.CREATE,)
        if error := unwritable(resource, columns, actions):
            raise error
        return columns

    async def run(
        self,
        transaction: Transaction,
        resource: Resource,
        order: Order,
        rows: Rows,
        rejections: Rejections,
        caller: Caller,
        report: Report = lambda phase, count: None,
    ) -> Imported:
        """Import the rows.

        Raises: as `Policy.rows`; InvalidBody, Conflict, Forbidden and others of the first row that cannot be written,
            by its number; TooManyRejected; LimitExceeded; UnfilteredWrite over `max_affected`.
        """
        columns = self.columns(resource, order, rows)
        await transaction.last(self._settings.import_timeout)
        if order.settings or resource.abilities.runs_code:
            await transaction.set_locally({"timezone": "UTC", **order.settings}, cleans=resource.abilities.runs_code)
        staged = Staged(
            rows.form,
            Bind(""),
            Bind(""),
            names=rows.names if rows.form is StagedForm.FIELDS else (),
            nested=rows.nested,
            empty_is_null=rows.empty_is_null,
        )
        plan = InsertPlan(
            resource,
            columns,
            staged,
            replace(caller.written, max_affected=None),
            on_conflict=order.on_conflict,
            conflict=order.conflict,
            fills_missing=order.fills_missing and order.columns is not None,
        )
        restricted = self._writer.restricted(plan, caller.principal)
        assert isinstance(restricted, InsertPlan)
        stage = Stage(transaction, rows)
        report("reading", 0)
        await stage.fill(self._settings.import_timeout)
        deleted = await self._delete_all(transaction, resource, order, caller)
        report("writing", stage.count)
        attempt = Attempt(transaction, self._statements, stage, restricted)
        imported = await _Import(transaction, stage, attempt, rejections, caller).run(deleted)
        if order.max_affected is not None and imported.written + deleted > order.max_affected:
            raise UnfilteredWrite(
                "Query result exceeds max-affected preference constraint",
                details=f"The query affects {imported.written + deleted} rows",
                code="PGRST124",
            )
        return replace(imported, is_kept=order.keeps)

    async def _delete_all(self, transaction: Transaction, resource: Resource, order: Order, caller: Caller) -> int:
        """Make room: delete the rows that the caller may delete."""
        if not order.replaces:
            return 0
        written = Written(replace(caller.written.actor), replace(caller.written.request))
        plan = self._writer.restricted(DeletePlan(resource, None, written), caller.principal)
        statement = self._statements.get(compile_write_counted, plan)
        row = await transaction.write(statement.sql, statement.arguments(plan, transaction.epoch))
        assert row is not None
        return int(row[0])


@dataclass(frozen=True, slots=True)
class _Import:
    """One import, whose rows are staged."""

    transaction: Transaction
    stage: Stage
    attempt: Attempt
    rejections: Rejections
    caller: Caller

    async def run(self, deleted: int) -> Imported:
        body, withheld = None, len(self.rejections.rows)
        if self.rejections.most is not None:
            counts = await self._write_what_can_be()
        elif self.caller.render is not None:
            body, counts = await self._write_rendered(self.caller.render)
        else:
            counts = await self._write_all()
        await self.attempt.end()
        rejected = self.rejections.in_order()
        return Imported(
            inserted=counts.new,
            updated=counts.written - counts.new,
            skipped=self.stage.count - counts.written - (len(rejected) - withheld) if self._ignores else 0,
            deleted=deleted,
            rejected=rejected,
            is_kept=True,
            body=body,
        )

    @property
    def _ignores(self) -> bool:
        return self.attempt.plan.on_conflict is OnConflict.IGNORE

    @property
    def _locator(self) -> Locator:
        return Locator(self.transaction, self.stage, self.attempt)

    async def _write_all(self) -> Counts:
        try:
            return await self.attempt.write(self.stage.first, self.stage.last)
        except RowhouseError as error:
            raise await self._located(error) from error.__cause__

    async def _write_rendered(self, render: Compile) -> tuple[bytes | None, Counts]:
        if self.stage.count > self.caller.most_answered:
            raise LimitExceeded(
                f"An answer shows {self.caller.most_answered} rows at most, and the body has {self.stage.count}.",
                hint="Leave out Prefer: return=representation.",
            )
        try:
            row = await self.attempt.write_rendered(render)
        except RowhouseError as error:
            raise await self._located(error) from error.__cause__
        body = None if row[0] is None else as_bytes(row[0])
        return body, Counts(row[1], row[1] if row[4] else 0)

    async def _located(self, error: RowhouseError) -> RowhouseError:
        return await self._locator.first(error) if is_of_a_row(error) else error

    async def _write_what_can_be(self) -> Counts:
        """Write all rows but those that cannot be, which are found by halves."""
        locator, sweep = self._locator, Sweep(self.stage, self.attempt.plan)
        later: list[tuple[int, RowhouseError]] = []
        try:
            counts = await self.attempt.write(self.stage.first, self.stage.last)
        except RowhouseError as refused:
            if not is_of_a_row(refused):
                raise
            await self.stage.index()
            unreadable = await sweep.unreadable((self.rejections.most or 0) + 1)
            await self.attempt.keep()
            for one in unreadable:
                self.rejections.add(one)
            counts = await self._write_part(self.stage.first, self.stage.last, locator, later)
        while later:
            # They refer to rows of the same body, which may be there by now.
            waiting, later = later, []
            for number, _ in waiting:
                counts += await self._write_part(number, number, locator, later)
            if len(later) == len(waiting):
                break
        for number, error in later:
            self.rejections.add(await locator.rejected(number, error))
        return counts

    async def _write_part(
        self, first: int, last: int, locator: Locator, later: list[tuple[int, RowhouseError]]
    ) -> Counts:
        try:
            return await self.attempt.write(first, last)
        except RowhouseError as error:
            if not is_of_a_row(error):
                raise
            refused = error
        if refused.stable_code == TWICE and await self._drop_repeated(locator):
            return await self._write_part(first, last, locator, later)
        if first < last:
            middle = (first + last) // 2
            counts = await self._write_part(first, middle, locator, later)
            return counts + await self._write_part(middle + 1, last, locator, later)
        if locator.leads_back(refused):
            later.append((first, refused))
        else:
            self.rejections.add(await locator.rejected(first, refused))
        return NOTHING

    async def _drop_repeated(self, locator: Locator) -> bool:
        """Leave out rows that have the key of an earlier one. Returns whether there were any."""
        most = self.rejections.most or 0
        found = await self.stage.duplicates(locator.conflict, most + 1)
        for number in found:
            self.rejections.add(await locator.rejected(number, repeated_key()))
        await self.stage.drop(found)
        await self.attempt.keep()
        return bool(found)
