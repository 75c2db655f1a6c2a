"""Fields: a column, a place inside its value, an aggregate of it; as written, and as the table has them."""

import re
from dataclasses import dataclass

from service.catalog.catalog import unknown_column
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery, LimitExceeded
from service.query.parse.casts import check_cast
from service.query.parse.reader import Reader
from service.query.plan import Aggregate, Aggregated, Bind, ColumnRef, Step

_INDEX = re.compile(r"(-?[0-9]+)(?=\s*(?:->|::|[.,)]|$))")
_KEY = re.compile(r'(?:[^,().:>"\-\x00]|-(?!>))+')
_LARGEST_INDEX = 2**31 - 1
_FUNCTIONS = "|".join(Aggregate)
_AGGREGATE = re.compile(rf"\.({_FUNCTIONS})\(\)")
_COUNT = re.compile(r"\s*count\(\)")
# The name of a type stands in the SQL as it is: words of ASCII letters, digits and `_`, and nothing that could end it.
# A dot leads to a type in a schema, except before an aggregate.
_TYPE = re.compile(
    rf"[a-z_][a-z0-9_]*(?:\.(?!(?:{_FUNCTIONS})\(\))[a-z_][a-z0-9_]*)?(?: +[a-z_][a-z0-9_]*)*"
    r"(?: ?\([0-9]{1,4}(?:,[0-9]{1,4})?\))?(?: +[a-z_][a-z0-9_]*)* *(?:\[\]){0,2}",
    re.IGNORECASE | re.ASCII,
)
_LONGEST_TYPE = 63
_MOST_STEPS = 32


@dataclass(frozen=True, slots=True)
class Field:
    """`column->a->0->>b`"""

    name: str
    path: tuple[Step, ...] = ()

    @property
    def last_name(self) -> str:
        """What the field is called where it is not renamed: the last key that is no index, as in PostgREST."""
        keys = [str(step.place.value) for step in self.path if isinstance(step.place, Bind)]
        return keys[-1] if keys else self.name


def read_field(reader: Reader) -> Field:
    reader.skip_space()
    name = reader.name()
    field = Field(name, read_path(reader))
    reader.skip_space()
    return field


def read_path(reader: Reader) -> tuple[Step, ...]:
    steps: list[Step] = []
    while reader.skip("->"):
        if len(steps) == _MOST_STEPS:
            raise LimitExceeded(f"A path has at most {_MOST_STEPS} steps.")
        is_text = reader.skip(">")
        steps.append(Step(_place(reader), is_text))
    return tuple(steps)


def _place(reader: Reader) -> Bind | int:
    index = reader.match(_INDEX)
    if index is None:
        if reader.next_is("-"):
            raise reader.error("expected a name or a whole number")
        return Bind(_key(reader))
    if len(index[1]) > 11 or abs(int(index[1])) > _LARGEST_INDEX:
        raise reader.error("the index is too large")
    return int(index[1])


def _key(reader: Reader) -> str:
    """A member's name: bare up to what goes on behind it, or in double quotes."""
    if reader.next_is('"'):
        return reader.quoted()
    found = reader.match(_KEY)
    key = found[0].strip() if found else ""
    if not key:
        raise reader.error("expected a name")
    return key


def read_cast(reader: Reader) -> str | None:
    """`::type`, or None where there is no cast. The name is safe to stand in SQL."""
    if not reader.skip("::"):
        return None
    found = reader.match(_TYPE)
    if found is None or len(found[0]) > _LONGEST_TYPE:
        raise reader.error("expected the name of a type")
    name = " ".join(found[0].lower().split())
    if name.removeprefix("pg_catalog.").startswith("reg"):
        # They turn numbers into the names of tables and roles, which a caller may not know of.
        raise reader.error("cannot cast to this type")
    return name


def read_count(reader: Reader) -> Aggregated | None:
    """`count()`, which is of rows."""
    return Aggregated(Aggregate.COUNT) if reader.match(_COUNT) else None


def read_aggregate(reader: Reader) -> Aggregate | None:
    """`.sum()` behind a field."""
    found = reader.match(_AGGREGATE)
    return Aggregate(found[1]) if found else None


def resolve(resource: Resource, field: Field, cast: str | None = None) -> ColumnRef:
    """The column of the table.

    Raises:
        UnknownColumn: it has none of that name.
    """
    if field.name not in resource.columns and field.name not in resource.computed:
        raise unknown_column(resource, field.name)
    check_cast(resource, cast)
    return ColumnRef(field.name, cast, field.path)


def read_measure(resource: Resource, reader: Reader) -> Aggregated:
    """`count()` or `column::cast.sum()`: what a group of rows is judged by."""
    count = read_count(reader)
    if count is not None:
        return count
    field = read_field(reader)
    column = resolve(resource, field, read_cast(reader))
    function = read_aggregate(reader)
    if function is None:
        raise InvalidQuery(f"{field.name!r} is no aggregate.", hint=f"Write {field.name}.sum(), or count().")
    return Aggregated(function, column)
