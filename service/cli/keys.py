"""`rowhouse keys`"""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import select

from service.cli.session import by, command, messages, unit_of_work
from service.core.settings import Settings
from service.core.types import Role
from service.crud import accounts
from service.models.system import ApiKey

app = typer.Typer(help="Create, list and revoke API keys of services.", no_args_is_help=True)


@app.command("create")
@command
async def create(
    name: Annotated[str, typer.Argument(help="What the key is for, as logs will show it.", show_default=False)],
    role: Annotated[Role, typer.Option(help="What grants are given to.")] = Role.VIEWER,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it expires. Default: never.")] = None,
) -> None:
    """Create a key and print it, alone, on standard output. It is shown this once."""
    async with unit_of_work(Settings.load()) as work, work.begin() as session:
        new = await accounts.create_key(session, name, role, days, by())
    messages.print(f"Created key {new.prefix} ({name}) as {role.value}.", highlight=False)
    typer.echo(new.key)


@app.command("list")
@command
async def listing() -> None:
    """List all keys, by their prefixes."""
    async with unit_of_work(Settings.load()) as work, work.begin() as session:
        keys = (await session.scalars(select(ApiKey).order_by(ApiKey.created_at))).all()
    table = Table(Column("Prefix", no_wrap=True), "Name", "Role", "Created", "Expires", "Last used", "Revoked")
    for key in keys:
        times = (key.created_at, key.expires_at, key.last_used_at, key.revoked_at)
        table.add_row(key.prefix, key.name, key.role, *map(_day, times))
    Console().print(table)


@app.command("revoke")
@command
async def revoke(
    prefix: Annotated[str, typer.Argument(help="Prefix of the key, as `rowhouse keys list` shows it.")],
) -> None:
    """Revoke a key. It stops working within CREDENTIAL_CACHE_SECONDS."""
    async with unit_of_work(Settings.load()) as work, work.begin() as session:
        await accounts.revoke_key(session, prefix, by())
    messages.print(f"Revoked {prefix}.", highlight=False)


def _day(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else "-"
