"""Whether the filter of a grant can be used: one that PostgreSQL refuses would refuse every request later."""

from collections.abc import Awaitable, Callable, Sequence

from service.catalog.catalog import Catalog
from service.core.errors import RowhouseError, TableNotFound
from service.crud.explain import explain
from service.query.compile.read import compile_item
from service.query.plan import ReadPlan

Run = Callable[[str, Sequence[object]], Awaitable[object]]


async def check_rows(run: Run, plan: ReadPlan) -> None:
    """Let PostgreSQL read the values of a filter, by `run`, which raises domain errors.

    Raises:
        InvalidQuery, InvalidBody: it does not.
    """
    statement = compile_item(plan)
    try:
        await run(f"explain {statement.sql}", statement.arguments(plan, ""))
    except RowhouseError as error:
        raise explain(error, plan, plan) from error


def find_function(catalog: Catalog, name: str) -> None:
    """See that there is a function that can be granted.

    Raises:
        TableNotFound: there is none.
    """
    handlers = (handler.name for resource in catalog for handler in resource.handlers.values())
    if not catalog.functions(name) and name not in handlers:
        raise TableNotFound(f"There is no function {name!r} here.")
