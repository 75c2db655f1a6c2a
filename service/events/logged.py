"""What the log has of a table."""

from dataclasses import dataclass

from service.core.errors import Conflict, InvalidQuery
from service.db.runner import Row
from service.query.plan import VERSION_COLUMN, AllColumns, ColumnRef, Predicate, ReadPlan, Selected, SelectItem
from service.query.walk import column_names


@dataclass(frozen=True, slots=True)
class Entry:
    """How a table is tracked: its number in the log, since which transaction, without which columns, and the numbers of
    the tables that inherit from it. As PostgreSQL writes them, to be compared.
    """

    number: int
    since: str
    excluded: str
    children: str

    @classmethod
    def of(cls, row: Row) -> "Entry":
        return cls(row[0], row[1], row[2], row[3])


@dataclass(frozen=True, slots=True)
class Logged:
    """What the log has of a table and those that inherit from it, the columns that never enter it, and since when what
    it has can be read by the types of now.
    """

    entries: tuple[Entry, ...]
    excluded: frozenset[str]
    read_since: str

    @property
    def numbers(self) -> list[str]:
        return [str(entry.number) for entry in self.entries]

    @property
    def is_family(self) -> bool:
        return len(self.entries) > 1

    def require(self, plan: ReadPlan, rows: Predicate | None) -> None:
        """Refuse what the log cannot answer. `rows` is what the caller may see.

        Raises:
            InvalidQuery: it asks for what is computed.
            Conflict: it needs a column that the log lacks; a condition on it would be met by rows that do not meet it.
        """
        used = column_names(plan.where) | {name for item in plan.select for name in column_names(item)}
        used |= {name for term in plan.order for name in column_names(term.column)}
        if foreign := sorted(used - set(plan.resource.stored) - {VERSION_COLUMN}):
            raise InvalidQuery(f"{foreign[0]!r} is computed, and the change log has the table's own columns.")
        if missing := sorted((used | column_names(rows)) & self.excluded):
            which = f"Column {missing[0]!r}" if missing[0] in plan.resource.columns else "A column"
            raise Conflict(
                f"{which} of {plan.resource.name!r} does not enter the change log, and this needs it.",
                code="not_tracked",
            )

    def shown(self, plan: ReadPlan) -> tuple[SelectItem, ...]:
        """What is shown of a row: of all its columns those that the log has."""
        items: list[SelectItem] = []
        for item in plan.select:
            if isinstance(item, AllColumns) and self.excluded:
                kept = (name for name in plan.resource.columns if name not in self.excluded)
                items += [Selected(ColumnRef(name), name) for name in kept]
            else:
                items.append(item)
        return tuple(items)
