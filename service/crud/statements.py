"""Compiled statements by the shape of their plan."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from service.query.compile.statement import Statement
from service.query.plan import Plan
from service.query.walk import runs_code

_MOST_KEPT = 2_000
_Plan = TypeVar("_Plan", bound=Plan)


class StatementCache:
    """Compiles a plan once a shape. The oldest are dropped first: to track their use would cost more than it saves."""

    def __init__(self) -> None:
        self._statements: dict[tuple[object, Plan], Statement] = {}

    def get(self, compile_plan: Callable[[_Plan], Statement], plan: _Plan) -> Statement:
        key = (compile_plan, plan)
        statement = self._statements.get(key)
        if statement is None:
            statement = self._statements[key] = replace(compile_plan(plan), runs_code=runs_code(plan))
            if len(self._statements) > _MOST_KEPT:
                del self._statements[next(iter(self._statements))]
        return statement
