"""What runs plans, on the pool or within a transaction."""

from dataclasses import dataclass

from service.auth.policy import Policy
from service.core.settings import ApiSettings
from service.crud.call import Caller
from service.crud.read import Reader
from service.crud.statements import StatementCache
from service.crud.write import Writer
from service.db.runner import Runner


@dataclass(frozen=True, slots=True)
class Work:
    """Reads, writes and calls by one runner."""

    runner: Runner
    reader: Reader
    writer: Writer
    caller: Caller

    @classmethod
    def on(cls, runner: Runner, policy: Policy, statements: StatementCache, settings: ApiSettings) -> "Work":
        reader = Reader(
            runner, policy, statements, count_exactly=settings.api_max_rows, max_cost=settings.api_max_plan_cost
        )
        return cls(runner, reader, Writer(runner, policy, statements), Caller(runner, policy, statements))
