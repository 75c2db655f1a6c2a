"""What is known of one served function."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from service.catalog.handler import Handler, media_type_of
from service.catalog.resource import Resource


class Volatility(StrEnum):
    """What a function may do (PostgreSQL manual, chapter 36.7). Only a volatile one writes."""

    IMMUTABLE = "immutable"
    STABLE = "stable"
    VOLATILE = "volatile"


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument that a caller gives: IN, INOUT or VARIADIC. `sql_type` of a variadic one is the array's.

    `name` is empty where the function leaves it out.
    """

    name: str
    sql_type: str
    is_required: bool = True
    is_variadic: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function, one for each overload; `name` as in its path, `schema.name` outside the first exposed schema.

    `result` describes the columns of what it returns, where that is a table's row, a composite or `returns table`;
    its table is the SQLAlchemy table of that type. None: a scalar of `result_type`, or nothing at all (`void`).
    `base_type` is the same below all domains.
    """

    name: str
    schema: str
    sql_name: str
    parameters: tuple[Parameter, ...]
    result: Resource | None
    result_type: str
    is_set: bool
    volatility: Volatility
    comment: str | None
    base_type: str = ""

    @property
    def handler(self) -> Handler | None:
        """What renders its one value in a media type: the function by itself, by the domain that it returns."""
        media_type = "text/xml" if self.base_type == "xml" else media_type_of(self.result_type)
        if media_type is None or self.is_set or self.result is not None:
            return None
        return Handler(media_type, self.name, (self.schema, self.sql_name), self.base_type)

    @property
    def is_void(self) -> bool:
        return self.result_type == "void"

    @property
    def takes_body(self) -> bool:
        """Whether the whole body is its one unnamed argument."""
        return len(self.parameters) == 1 and not self.parameters[0].name and self.parameters[0].sql_type in _OF_BODIES


_OF_BODIES: Mapping[str, str] = {
    "json": "application/json",
    "jsonb": "application/json",
    "text": "text/plain",
    "xml": "text/xml",
    "bytea": "application/octet-stream",
}
