"""`rowhouse jobs`"""

from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.cli.session import command, messages, unit_of_work
from service.core.settings import Settings
from service.core.types import JobState
from service.crud import jobs
from service.crud.jobs import JobQueue
from service.models.system import Job

_ID_WIDTH = 36


app = typer.Typer(invoke_without_command=True)
Ids = Annotated[list[UUID], typer.Argument(help="Ids of jobs, as `rowhouse jobs` lists them.", show_default=False)]


@app.callback()
def jobs_command(
    context: typer.Context,
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.", show_default="all")] = None,
    name: Annotated[str | None, typer.Option(help="Only jobs of this name.", show_default="all")] = None,
    limit: Annotated[int, typer.Option(help="Most jobs to list.", min=1, max=1000)] = 20,
) -> None:
    """List background jobs, the newest first; try dead ones again; cancel those that wait.

    `dead` are those that failed too often.
    """
    if context.invoked_subcommand is None:
        _list(state, name, limit)


@app.command("retry")
@command
async def retry(ids: Ids) -> None:
    """Queue dead jobs again, with all their attempts. A worker finds them within a second."""
    queue = JobQueue(lambda _: None)  # no message: workers look for due jobs by themselves
    async with unit_of_work(Settings.load()) as work:
        for one in ids:
            async with work.begin() as session:
                job = await queue.retry(session, one)
            messages.print(f"Queued {job.name} {one}.", highlight=False)


@app.command("cancel")
@command
async def cancel(ids: Ids) -> None:
    """Never run jobs that wait to be."""
    async with unit_of_work(Settings.load()) as work:
        for one in ids:
            async with work.begin() as session:
                await jobs.cancel(session, one)
            messages.print(f"Cancelled {one}.", highlight=False)


@command
async def _list(state: JobState | None, name: str | None, limit: int) -> None:
    async with unit_of_work(Settings.load()) as work, work.begin() as session:
        found = await jobs.listing(session, state=state, name=name, after=None, limit=limit)
    table = Table(box=None, pad_edge=False)
    table.add_column("Job", min_width=_ID_WIDTH, overflow="fold")
    for header in ("State", "Created", "About"):
        table.add_column(header, overflow="fold")
    for job in found:
        table.add_row(
            f"{escape(job.name)}\n[dim]{job.id}[/]",
            f"{job.state}\n[dim]{job.attempts} of {job.most_attempts}[/]",
            f"{job.created_at:%m-%d %H:%M}",
            escape(_about(job)),
        )
    Console().print(table)


def _about(job: Job) -> str:
    """What matters most of a job in its state."""
    match job.state:
        case JobState.RUNNING:
            return f"{job.progress:.0%}"
        case JobState.WAITING | JobState.DEAD:
            return job.error or ""
    return ""
