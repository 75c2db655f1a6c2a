"""PostgreSQL types by their names."""

from typing import Any

from sqlalchemy.types import TypeEngine, UserDefinedType


class SqlType(UserDefinedType[Any]):
    """A PostgreSQL type as `format_type` writes it, or as the list of allowed casts does.

    The name stands in the SQL as it is: it must come from the catalog or from that list.
    """

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: object) -> str:
        return self.name


class CompositeType(SqlType):
    """A composite type: its attributes, each with its name, in their order. SQLAlchemy copies a type by what its
    constructor takes.
    """

    def __init__(self, name: str, attributes: tuple[tuple[str, TypeEngine[Any]], ...]) -> None:
        super().__init__(name)
        self.attributes = attributes


class RangeType(SqlType):
    """A range type, or its multirange, that somebody has made."""

    def __init__(self, name: str, is_multiple: bool = False) -> None:
        super().__init__(name)
        self.is_multiple = is_multiple


class ArrayType(SqlType):
    """An array, in any number of dimensions, of values that a name alone does not describe."""

    def __init__(self, name: str, element: TypeEngine[Any]) -> None:
        super().__init__(name)
        self.element = element
