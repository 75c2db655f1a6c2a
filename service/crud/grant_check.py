"""Whether a grant's filter and columns can be used: what PostgreSQL refuses would refuse every request later."""

from collections.abc import Awaitable, Callable, Sequence

from service.catalog.catalog import Catalog, unknown_column
from service.catalog.resource import Resource
from service.core.errors import RowhouseError, TableNotFound
from service.crud.explain import explain
from service.query.compile.read import compile_item
from service.query.parse.reader import Reader
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


def columns_of(resource: Resource, text: str) -> list[str]:
    """The columns that a list names, each once, as the query language writes names.

    Raises:
        InvalidQuery: it is no list.
        UnknownColumn: the table has no such column.
    """
    reader = Reader(text, "The list of columns")
    names = list(dict.fromkeys(reader.list_of(reader.name)))
    reader.expect_end()
    for name in names:
        if name not in resource.columns:
            raise unknown_column(resource, name)
    return names


def find_function(catalog: Catalog, name: str) -> None:
    """See that there is a function that can be granted.

    Raises:
        TableNotFound: there is none.
    """
    handlers = (handler.name for resource in catalog for handler in resource.handlers.values())
    if not catalog.functions(name) and name not in handlers:
        raise TableNotFound(f"There is no function {name!r} here.")
