"""What the log has of tables: who changed what, when, and from what to what."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from service.crud.statements import StatementCache
from service.db.runner import Row, Runner
from service.query.compile.feed import Sight
from service.query.compile.history import compile_below, compile_history, compile_window
from service.query.plan import Bind, FollowedTable, HistoryPlan

# However few are found, a page looks at so many changes at most.
_WINDOW = 10_000
_LATEST = """
select min(l.seq), array_agg(distinct l.tracked)
from (select c.seq, c.tracked from rowhouse.changes c order by c.seq desc limit $1) l
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change as JSON, and its number."""

    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Changes, the latest first. There may be more below the number `following`; None where there are none."""

    entries: list[Entry]
    following: int | None


class History:
    """Runs history plans."""

    def __init__(self, runner: Runner, statements: StatementCache) -> None:
        self._runner = runner
        self._statements = statements

    async def visible(self, plan: HistoryPlan) -> set[int]:
        """The numbers of those changes whose rows before and after may both be seen, as far as there were any."""
        statement = self._statements.get(compile_history, plan)
        rows = await self._runner.read_all(statement.sql, statement.arguments(plan, self._runner.epoch))
        return {row[0] for row in rows if Sight.HIDDEN not in (row[3], row[4])}

    async def page(self, plan: HistoryPlan, limit: int, *, within: int | None = None) -> HistoryPage:
        """A page of the changes that the plan asks for, which may be short though there are more; or of those of them
        that are `within` so many of the log's latest, and no others.

        Raises: as `entries`.
        """
        if within is not None:
            return await self._latest(plan, limit, within)
        if len(plan.tables) > 1:
            return await self._of_several(plan, limit, _WINDOW if plan.is_searched else limit)
        if plan.is_searched:
            return await self._windowed(plan, limit, _WINDOW)
        entries = await self.entries(plan)
        return HistoryPage(entries, entries[-1].number if len(entries) == limit else None)

    async def _of_several(self, plan: HistoryPlan, limit: int, most: int) -> HistoryPage:
        """A page from the log's end down, or else from where the request or transaction that is asked for was."""
        page = await self._windowed(plan, limit, most)
        if page.entries or page.following is None or (plan.request is None and plan.transaction is None):
            return page
        rest = replace(plan, before=Bind(str(page.following)))
        statement = self._statements.get(compile_below, rest)
        row = await self._runner.read(statement.sql, statement.arguments(rest, self._runner.epoch))
        assert row is not None
        if row[0] is None:
            return HistoryPage([], None)
        return await self._windowed(replace(plan, before=Bind(str(row[0] + 1))), limit, most)

    async def _windowed(self, plan: HistoryPlan, limit: int, most: int) -> HistoryPage:
        """A page of the latest so many changes, which are found before any row is looked at."""
        window = replace(plan, limit=Bind(str(most)))
        statement = self._statements.get(compile_window, window)
        row = await self._runner.read(statement.sql, statement.arguments(window, self._runner.epoch))
        assert row is not None
        lowest: int | None = row[0]
        has_more: bool = row[1]
        if lowest is None:
            return HistoryPage([], None)
        entries = await self.entries(replace(plan, down_to=Bind(str(lowest))))
        below = lowest if has_more else None
        return HistoryPage(entries, entries[-1].number if len(entries) == limit else below)

    async def _latest(self, plan: HistoryPlan, limit: int, within: int) -> HistoryPage:
        row = await self._runner.read(_LATEST, (within,))
        assert row is not None
        lowest, numbers = row[0], {str(number) for number in row[1] or ()}
        tables = tuple(table for table in plan.tables if numbers.intersection(_numbers(table)))
        if not tables:
            return HistoryPage([], None)
        entries = await self.entries(replace(plan, tables=tables, down_to=Bind(str(lowest))))
        return HistoryPage(entries, entries[-1].number if len(entries) == limit else None)

    async def entries(self, plan: HistoryPlan) -> list[Entry]:
        """The changes that the plan asks for, the latest first.

        Raises:
            InvalidBody: PostgreSQL cannot read a value as its column's type; DatabaseUnavailable.
        """
        statement = self._statements.get(compile_history, plan)
        rows = await self._runner.read_all(statement.sql, statement.arguments(plan, self._runner.epoch))
        names = [table.read.resource.name for table in plan.tables]
        return [_entry(row, names) for row in rows]


def _numbers(table: FollowedTable) -> list[str]:
    """The numbers of the log for a table."""
    value = table.tracked.value
    assert isinstance(value, list)
    return value


def _entry(row: Row, tables: Sequence[str]) -> Entry:
    number, table, facts, was, now, was_key, now_key, before, after, columns = (row[place] for place in range(10))
    done = orjson.loads(facts)
    done.pop("op")
    key = now_key if now_key is not None else was_key
    members: dict[str, object] = {
        "change": number,
        "table": tables[table],
        "type": _kind(was, now),
        "key": None if key is None else orjson.Fragment(key),
    }
    if was_key is not None and now_key is not None and was_key != now_key:
        members["old_key"] = orjson.Fragment(was_key)
    if before is not None and after is not None:
        members["columns"] = orjson.loads(columns) if columns else []
    members |= {
        "before": None if before is None else orjson.Fragment(before),
        "after": None if after is None else orjson.Fragment(after),
    }
    return Entry(number, orjson.dumps(members | done))


def _kind(was: int, now: int) -> str:
    """What the change was to one who sees so much of the row."""
    if was > Sight.HIDDEN and now > Sight.HIDDEN:
        return "update"
    if now > Sight.HIDDEN:
        return "insert"
    return "delete" if was > Sight.HIDDEN else "truncate"
