"""A compiled statement: SQL with `$n` parameters, and which value goes where."""

import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, JSON, ColumnElement, Dialect, Text, bindparam
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from service.query.plan import Bind, BindKind, Plan
from service.query.walk import binds

_DIALECT: Dialect = asyncpg_dialect()  # type: ignore[no-untyped-call]
_EPOCH = "epoch"
# What a whole row goes by, and what is told of it besides: names that no column has and no caller can foresee, since
# PostgreSQL takes a column of that name for the row (manual, chapter 8.16.5).
_TOKEN = secrets.token_hex(4)
WHOLE = f"r_{_TOKEN}_"
VERSION_LABEL = f"version_{_TOKEN}"
IS_NEW_LABEL = f"is_new_{_TOKEN}"


def without_token(sql: str) -> str:
    """The same in each process, to tell statements apart by."""
    return sql.replace(_TOKEN, "")


_TYPES: dict[BindKind, TypeEngine[Any]] = {
    BindKind.TEXT: Text(),
    BindKind.LIST: ARRAY(Text()),
    BindKind.JSON: JSON(),
}


class Parameters:
    """Names the bound values of one plan while it is compiled."""

    def __init__(self, plan: Plan) -> None:
        found = binds(plan)
        self._numbers = {id(bind): number for number, bind in enumerate(found)}
        if len(self._numbers) != len(found):
            # Statements are shared by shape, and two places that share a value here may not do so elsewhere.
            raise ValueError("a bind stands in two places of a plan")

    def __getitem__(self, bind: Bind) -> ColumnElement[Any]:
        return bindparam(f"b{self.number(bind)}", type_=_TYPES[bind.kind])

    def number(self, bind: Bind) -> int:
        """Its place among the binds of the plan."""
        return self._numbers[id(bind)]

    @staticmethod
    def epoch() -> ColumnElement[str]:
        return bindparam(_EPOCH, type_=Text())


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, and for each `$n` the number of the plan's bind (None: the epoch).

    `runs_code`: functions run that may set something on the connection, which is to be undone.
    """

    sql: str
    sources: tuple[int | None, ...]
    runs_code: bool = False

    def arguments(self, plan: Plan, epoch: str) -> list[object]:
        """The values of a plan of this statement's shape, in the order of `$1`, `$2`, …"""
        values = binds(plan)
        return [epoch if source is None else values[source].value for source in self.sources]


def finish(element: ClauseElement) -> Statement:
    """Compile for asyncpg. Every value must have come through `Parameters`: nothing is written into the SQL."""
    compiled = element.compile(dialect=_DIALECT)
    assert isinstance(compiled, SQLCompiler)
    names = compiled.positiontup or []
    return Statement(str(compiled), tuple(None if name == _EPOCH else int(name.removeprefix("b")) for name in names))
