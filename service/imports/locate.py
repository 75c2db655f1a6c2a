"""Which row it was, and which of its columns, where PostgreSQL has refused many at once."""

from service.catalog.resource import Resource
from service.core.errors import FieldError, InvalidBody, Rejected, RowhouseError
from service.core.states import FOREIGN_KEY
from service.core.types import Action
from service.crud.explain import tell_of_columns
from service.db.transaction import Transaction
from service.imports.attempt import TWICE, Attempt, is_of_a_row
from service.imports.stage import Stage
from service.query.compile.staged import PROBE, compile_probe, field_name

_UNREAD = "A value cannot be read as its column's type."


class Locator:
    """Finds the rows of an attempt that PostgreSQL refuses."""

    def __init__(self, transaction: Transaction, stage: Stage, attempt: Attempt) -> None:
        self._transaction = transaction
        self._stage = stage
        self._attempt = attempt
        self._has_probe = False

    @property
    def _resource(self) -> Resource:
        return self._attempt.plan.resource

    async def first(self, error: RowhouseError) -> RowhouseError:
        """The error of the first row that cannot be written, with its number and its column.

        It is the last of the shortest part, from the beginning, that cannot be.
        """
        if self.leads_back(error):
            return error  # a row may refer to a later one, so that no part is a measure
        await self._stage.index()
        await self._attempt.keep()
        if error.stable_code == TWICE:
            found = await self._stage.duplicates(self.conflict, 1)
            return error if not found else await self.told(found[0], repeated_key())
        low, high = self._stage.first, self._stage.last
        while low < high:
            middle = (low + high) // 2
            if (refused := await self._refused(low, middle)) is None:
                low = middle + 1
            else:
                error, high = refused, middle
        refused = await self._refused(low, low)
        return error if refused is None else await self.told(low, refused)

    async def told(self, number: int, error: RowhouseError) -> RowhouseError:
        """The error, as it is told of a row."""
        rejected = await self.rejected(number, error)
        where = f"Row {rejected.row}" + (f", column {rejected.column!r}" if rejected.column else "")
        error.fields = (FieldError(rejected.column or "", rejected.reason, rejected.row),)
        error.message = f"{where}: {rejected.reason}"
        return error

    async def rejected(self, number: int, error: RowhouseError) -> Rejected:
        """What is told of a row that cannot be written for this error."""
        column, reason = await self._explained(number, error)
        row = await self._stage.told_number(number)
        value = None if column is None else await self._stage.value(number, column)
        return Rejected(row, column, reason, error.stable_code, value)

    def leads_back(self, error: RowhouseError) -> bool:
        """Whether it is about a foreign key by which rows of the table refer to others of it."""
        return error.stable_code == FOREIGN_KEY and any(
            way.constraint == error.constraint and way.target == self._resource.name for way in self._resource.relations
        )

    @property
    def conflict(self) -> tuple[str, ...]:
        return self._attempt.plan.conflict or self._resource.key

    async def _refused(self, first: int, last: int) -> RowhouseError | None:
        """Write these rows, and say why it could not be done."""
        try:
            await self._attempt.write(first, last)
        except RowhouseError as error:
            if not is_of_a_row(error):
                raise
            return error
        return None

    async def _explained(self, number: int, error: RowhouseError) -> tuple[str | None, str]:
        tell_of_columns(error, self._resource)
        known = self._resource.in_bodies(Action.CREATE, Action.UPDATE)
        if named := next((one.field for one in error.fields if one.field in known), None):
            return named, error.message
        if not isinstance(error, InvalidBody):
            return None, error.message
        await self._make_probe()
        for column in self._attempt.plan.columns:
            if (unread := await self._unread(number, column)) is not None:
                return column, unread.message
        # What is wrong is no value of the row's own: a condition that is not the caller's to see may have failed.
        return None, error.message if error.stable_code[:2] == "23" else _UNREAD

    async def _unread(self, number: int, column: str) -> RowhouseError | None:
        plan = self._attempt.of(number, number, (column,))
        statement = compile_probe(plan)
        try:
            async with self._transaction.savepoint():
                await self._transaction.write(statement.sql, statement.arguments(plan, self._transaction.epoch))
        except RowhouseError as error:
            return error
        return None

    async def _make_probe(self) -> None:
        if self._has_probe:
            return
        self._has_probe = True
        columns = self._resource.stored.values()
        typed = ", ".join(f"{field_name(place)} {column.sql_type}" for place, column in enumerate(columns))
        await self._transaction.execute(f"create temp table {PROBE} ({typed}) on commit drop")
        await self._attempt.keep()


def repeated_key() -> RowhouseError:
    """The error of a row whose key an earlier one has."""
    return InvalidBody("An earlier row has the same key.", code=TWICE)
