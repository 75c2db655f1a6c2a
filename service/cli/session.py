"""What every command works with: settings, the database by the right role, errors in a sentence."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import asyncpg
import typer
from rich.console import Console

from service.auth.security_events import By
from service.core.errors import RowhouseError
from service.core.settings import Settings
from service.db.embedded import start_embedded
from service.db.engine import UnitOfWork, make_engine
from service.db.role import role_to_assume
from service.db.runner import LOST

P = ParamSpec("P")
T = TypeVar("T")
messages = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the database is: for the owner, for the service, and for whoever reads or makes all of it."""

    owner: str
    service: str
    keeper: str


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Urls]:
    """The database's URLs; the embedded server runs as long as the block does."""
    configured = settings.database.database_url
    if configured is not None:
        owner = settings.database.migration_database_url or configured
        yield Urls(owner.get_secret_value(), configured.get_secret_value(), owner.get_secret_value())
        return
    embedded = await start_embedded(settings.database.data_dir)
    try:
        yield Urls(embedded.owner_url, embedded.service_url, embedded.keeper_url)
    finally:
        await asyncio.to_thread(embedded.release)


@asynccontextmanager
async def unit_of_work(settings: Settings) -> AsyncIterator[UnitOfWork]:
    """Sessions in the service's own role."""
    async with database(settings) as urls:
        timeout = settings.database.connect_timeout
        role = await role_to_assume(urls.service, timeout, is_production=settings.is_production)
        engine = make_engine(urls.service, settings.database, role=role)
        try:
            yield UnitOfWork(engine)
        finally:
            await engine.dispose()


def by() -> By:
    """Whoever runs the command, for the log of security events."""
    try:
        return By(f"cli:{getpass.getuser()}")
    except (KeyError, OSError):  # a container may have no name for its user
        return By("cli")


def command(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run a coroutine as a command; tell errors in a sentence, and exit with 1."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return told(lambda: asyncio.run(function(*args, **kwargs)))

    return run


def told(action: Callable[[], T]) -> T:
    """Do it; what goes wrong is said in a sentence on standard error."""
    try:
        return action()
    except RowhouseError as error:
        message = f"{error.message} {error.hint or ''}".strip()
    except asyncpg.ClientConfigurationError:  # its text shows parts of the URL
        message = "The database's URL or the files that it names cannot be used."
    except (*LOST, asyncpg.PostgresError) as error:
        message = f"The database cannot be used: {type(error).__name__}: {error}"
    messages.print(f"[bold red]rowhouse:[/] {message}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)
