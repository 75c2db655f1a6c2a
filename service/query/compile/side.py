"""One side of a change: the row before it, or after it, as a history shows it.

It is shown as it was written, whatever the types of the table are now. By them only what a condition needs is read, and
only of what was logged since they are so: else it cannot be told whether the row met it.
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause
from sqlalchemy.sql.selectable import LateralFromClause

from service.catalog.sql_type import SqlType
from service.query.compile.columns import Columns, quoted_text
from service.query.compile.feed import Sight, constant, sight
from service.query.compile.logged import as_written, image, version_of
from service.query.compile.predicate import Conditions
from service.query.compile.statement import WHOLE, Parameters
from service.query.plan import ColumnRef, FollowedTable, ReadPlan, Selected
from service.query.walk import column_names


class Side:
    """`seen` is how much of the row may be seen (`Sight`), `shown` and `key` its JSON; `read` has the columns that are
    needed of it, `also` among them, NULL where they cannot be read. All stand in `source`.
    """

    def __init__(
        self,
        table: FollowedTable,
        change: FromClause,
        name: str,
        parameters: Parameters,
        *,
        is_after: bool,
        also: Iterable[str] = (),
    ) -> None:
        self._resource = table.read.resource
        self._logged: ColumnElement[Any] = change.c.now if is_after else change.c.was
        self._visible = table.visible if is_after else table.was_visible
        self._where = table.where if is_after else table.was_where
        self._can_be_read = change.c.at >= sa.cast(parameters[table.read_since], SqlType("timestamptz"))
        self.read = self._read(change, name, also)
        self._written = as_written(self._resource, self._logged, f"{name}_written")
        shown = (self._value(column).label(column) for column in _names(table.read))
        row = sa.select(*shown).correlate(self.read, self._written).lateral(f"{WHOLE}{name}")
        self.source = self.read.join(self._written, sa.true()).join(row, sa.true())
        self.shown: ColumnElement[Any] = sa.func.row_to_json(row.table_valued())
        self.seen = self._seen(Conditions(Columns(self._resource, self.read, parameters), parameters))

    @property
    def key(self) -> ColumnElement[Any]:
        """The key as a JSON object; the whole row where the table has none; NULL where there is no row."""
        members: list[ColumnElement[Any]] = []
        for name in self._resource.key or self._resource.columns:
            members += [quoted_text(name), self._value(name)]
        return sa.case((self._logged.is_not(None), sa.func.json_build_object(*members)))

    def _read(self, change: FromClause, name: str, also: Iterable[str]) -> LateralFromClause:
        needed = {*also, *column_names(self._visible), *column_names(self._where)}
        needed |= {one.name for one in self._resource.stored.values() if one.representation is not None}
        names = [column for column in self._resource.stored if column in needed]
        return image(self._resource, sa.case((self._can_be_read, self._logged)), name, version_of(change), names)

    def _value(self, name: str) -> ColumnElement[Any]:
        column, written = self._resource.columns[name], self._written.c[name]
        if column.representation is None or column.representation.to_json is None:
            return written
        return sa.case((self._can_be_read, Columns.rendered(column, self.read.c[name])), else_=written)

    def _seen(self, conditions: Conditions) -> ColumnElement[int]:
        seen = sight(self._logged, conditions, self._visible, self._where)
        if self._visible is None and self._where is None:
            return seen
        untold = constant(Sight.UNWANTED if self._visible is None else Sight.HIDDEN)
        return sa.case((sa.and_(self._logged.is_not(None), sa.not_(self._can_be_read)), untold), else_=seen)


def _names(read: ReadPlan) -> list[str]:
    """The columns that are shown: a history has whole rows."""
    items = (item.column for item in read.select if isinstance(item, Selected))
    return [one.name for one in items if isinstance(one, ColumnRef)] or list(read.resource.columns)
