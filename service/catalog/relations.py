"""The ways between resources, from foreign keys: along them, back, through tables between, and through views."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, permutations, product

from sqlalchemy import Table

from service.catalog.resource import Junction, OnDelete, Relation

# A view may show each column of a key under many names.
_MOST_WAYS = 16
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns by their numbers. `is_one_to_one`: at most one row refers to each."""

    name: str
    source: int
    source_columns: tuple[int, ...]
    target: int
    target_columns: tuple[int, ...]
    is_one_to_one: bool
    on_delete: OnDelete = OnDelete.NO_ACTION


@dataclass(frozen=True, slots=True)
class Carrier:
    """A relation that shows columns of a table: the table itself, or a view of it.

    `columns` are its own names for them, by the table's numbers: a view may show one under several. `name` is None
    where it is not served: ways lead from it (a function may return its rows), and none to it.
    """

    oid: int
    name: str | None
    columns: Mapping[int, Sequence[str]]
    table: Table

    def names(self, numbers: Sequence[int]) -> list[tuple[str, ...]]:
        """Its names for those columns, in each way that it has; none where it lacks one."""
        ways = product(*(self.columns.get(number, ()) for number in numbers))
        return list(islice(ways, _MOST_WAYS))


Carriers = Mapping[int, Sequence[Carrier]]
Ways = dict[int, list[Relation]]


def relations(keys: Sequence[ForeignKey], carriers: Carriers, primary: Mapping[int, Sequence[int]]) -> Ways:
    """The ways from each relation, by its object id. `carriers` and `primary` (key columns) are by table."""
    ways: Ways = defaultdict(list)
    for key in keys:
        _along(key, carriers, ways)
    for table, halves in _junctions(keys, primary).items():
        for here, onward in permutations(halves, 2):
            _through(table, here, onward, carriers, ways)
    return ways


def _along(key: ForeignKey, carriers: Carriers, ways: Ways) -> None:
    """Both ways between whatever carries the two ends of a key."""
    targets = list(_carrying(key.target, key.target_columns, carriers))
    for source, here in _carrying(key.source, key.source_columns, carriers):
        for target, there in targets:
            if source.oid == target.oid and key.source != key.target:
                continue  # a view that joins the two tables already shows both rows
            if target.name is not None:
                pairs = tuple(zip(here, there, strict=True))
                ways[source.oid].append(
                    Relation(
                        key.name,
                        target.name,
                        False,
                        pairs,
                        key.name,
                        is_one_to_one=key.is_one_to_one,
                        is_direct=target.oid == key.target,
                        on_delete=key.on_delete,
                    )
                )
            if source.name is not None:
                back = _back(key, source.name, tuple(zip(there, here, strict=True)), source.oid == key.source)
                ways[target.oid].append(back)


def _back(key: ForeignKey, name: str, pairs: Pairs, is_direct: bool) -> Relation:
    return Relation(
        key.name,
        name,
        not key.is_one_to_one,
        pairs,
        key.name,
        is_back=True,
        is_one_to_one=key.is_one_to_one,
        is_direct=is_direct,
        on_delete=key.on_delete,
    )


def _carrying(table: int, columns: Sequence[int], carriers: Carriers) -> Iterable[tuple[Carrier, tuple[str, ...]]]:
    for carrier in carriers.get(table, ()):
        for names in carrier.names(columns):
            yield carrier, names


def _junctions(keys: Iterable[ForeignKey], primary: Mapping[int, Sequence[int]]) -> Mapping[int, list[ForeignKey]]:
    """The foreign keys that are part of their table's primary key, by table: two of them make it a junction."""
    halves: dict[int, list[ForeignKey]] = defaultdict(list)
    for key in keys:
        if set(key.source_columns) <= set(primary.get(key.source, ())):
            halves[key.source].append(key)
    return halves


def _through(table: int, half: ForeignKey, other: ForeignKey, carriers: Carriers, ways: Ways) -> None:
    """The ways from the one end of a junction to the other: by the table, and by views of it.

    Where the table is served, a view of it must be asked for.
    """
    served = [carrier for carrier in carriers.get(table, ()) if carrier.name is not None]
    has_table = any(carrier.oid == table for carrier in served)
    for junction in served:
        _by(junction, half, other, carriers, ways, is_hinted=has_table and junction.oid != table)


def _by(
    junction: Carrier, half: ForeignKey, other: ForeignKey, carriers: Carriers, ways: Ways, *, is_hinted: bool
) -> None:
    nears, fars = junction.names(half.source_columns), junction.names(other.source_columns)
    if not nears or not fars:
        return
    near, far, name = nears[0], fars[0], junction.name
    assert name is not None
    targets = list(_carrying(other.target, other.target_columns, carriers))
    for source, here in _carrying(half.target, half.target_columns, carriers):
        for target, there in targets:
            if target.name is not None and (source.oid != target.oid or half.target == other.target):
                between = Junction(
                    table=junction.table,
                    name=name,
                    pairs=tuple(zip(here, near, strict=True)),
                    onward=tuple(zip(far, there, strict=True)),
                    constraints=(half.name, other.name),
                )
                is_direct = target.oid == other.target and junction.oid == other.source
                ways[source.oid].append(
                    Relation(name, target.name, True, (), None, between, is_hinted=is_hinted, is_direct=is_direct)
                )
