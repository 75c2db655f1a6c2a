"""PostgreSQL types by their names."""

from typing import Any

from sqlalchemy.types import UserDefinedType


class SqlType(UserDefinedType[Any]):
    """A PostgreSQL type as `format_type` writes it, or as the list of allowed casts does.

    The name stands in the SQL as it is: it must come from the catalog or from that list.
    """

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: object) -> str:
        return self.name
