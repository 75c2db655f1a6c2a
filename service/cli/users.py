"""`rowhouse users`"""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from service.cli.session import by, command, messages, unit_of_work
from service.core.security import make_password
from service.core.settings import Settings
from service.core.types import Role
from service.crud import accounts
from service.crud.accounts import Standing
from service.models.system import User

app = typer.Typer(help="Create, list and change users.", no_args_is_help=True)
Email = Annotated[str, typer.Argument(help="E-mail address of the user.", show_default=False)]
Password = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input. Without it one is made up.")
]


@app.command("create")
@command
async def create(
    email: Email,
    role: Annotated[Role, typer.Option(help="What grants are given to.")] = Role.VIEWER,
    password_stdin: Password = False,
) -> None:
    """Create a user. A password that is made up is printed, alone, on standard output."""
    password, is_made_up = _password(password_stdin)
    async with unit_of_work(Settings.load()) as work, work.begin() as session:
        user = await accounts.create_user(session, email, password, role, by())
    messages.print(f"Created {user.email} as {role.value}.", highlight=False)
    _show(password, is_made_up)


@app.command("password")
@command
async def password(email: Email, password_stdin: Password = False) -> None:
    """Give a user another password, and end the user's logins."""
    new, is_made_up = _password(password_stdin)
    async with unit_of_work(Settings.load()) as work, work.begin() as session:
        await accounts.set_password(session, await accounts.get_user(session, email), new, by())
    messages.print(f"Changed the password of {email}; all logins have ended.", highlight=False)
    _show(new, is_made_up)


@app.command("set")
@command
async def change(
    email: Email,
    role: Annotated[Role | None, typer.Option(help="Another role.", show_default=False)] = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Open or close the account.")] = None,
) -> None:
    """Change a user's role, or open or close the account."""
    async with unit_of_work(Settings.load()) as work, work.begin() as session:
        user = await accounts.get_user(session, email)
        to = Standing(role or Role(user.role), user.is_active if active is None else active)
        await accounts.change_user(session, user.id, to, by())
    state = "active" if user.is_active else "inactive"
    messages.print(f"{user.email} is {user.role} and {state}.", highlight=False)


@app.command("list")
@command
async def listing() -> None:
    """List all users."""
    async with unit_of_work(Settings.load()) as work, work.begin() as session:
        users = (await session.scalars(select(User).order_by(User.email))).all()
    table = Table("E-mail", "Role", "Active", "Since")
    for user in users:
        table.add_row(user.email, user.role, "yes" if user.is_active else "no", f"{user.created_at:%Y-%m-%d}")
    Console().print(table)


def _password(from_stdin: bool) -> tuple[str, bool]:
    if not from_stdin:
        return make_password(), True
    return typer.get_text_stream("stdin").readline().rstrip("\n"), False


def _show(password: str, is_made_up: bool) -> None:
    if is_made_up:
        typer.echo(password)
