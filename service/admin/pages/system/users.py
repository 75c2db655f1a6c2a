"""Users, for administrators."""

from starlette.responses import Response

from service.admin.pages.system.browser_name import browser_name
from service.admin.pages.system.sent import id_in, role_in, text_in, word_in
from service.admin.visit import Visit
from service.core.errors import Conflict, InvalidBody
from service.core.security import make_password
from service.core.types import Role
from service.crud import accounts
from service.crud.accounts import Standing
from service.models.system import User

_PAGE = 50


async def show(visit: Visit) -> Response:
    """Users by their addresses, those that have the words searched for."""
    part, after = word_in(visit, "q"), word_in(visit, "after")
    async with visit.runtime.unit_of_work.begin() as session:
        users = await accounts.users_like(session, part, after, _PAGE + 1)
    more = users[_PAGE - 1].email if len(users) > _PAGE else None
    return await visit.page("system/users.html", title="Users", users=users[:_PAGE], part=part, more=more, roles=Role)


async def create(visit: Visit) -> Response:
    """A new user, with a password that is shown this once."""
    password = make_password()
    async with visit.runtime.unit_of_work.begin() as session:
        user = await accounts.create_user(
            session, text_in(visit.form, "email"), password, role_in(visit.form), visit.by
        )
    return await _password_page(visit, user, password, "The user was made.")


async def show_one(visit: Visit) -> Response:
    """One user."""
    async with visit.runtime.unit_of_work.begin() as session:
        user = await accounts.user_of(session, id_in(visit, "user"))
    return await visit.page(
        "system/user.html",
        title=user.email,
        user=user,
        roles=Role,
        sessions=[session for session, _ in await visit.runtime.sessions.of_user(user.id)],
        logins_of_api=await visit.runtime.sessions.logins_of_api(user.id),
        has_factor=await visit.runtime.second_factors.is_on(user.id),
        browser_name=browser_name,
    )


async def change(visit: Visit) -> Response:
    """Another role, or open or closed, if the user is still as the form showed it."""
    to = Standing(role_in(visit.form), _truth(text_in(visit.form, "active")))
    shown = Standing(role_in(visit.form, "was.role"), _truth(text_in(visit.form, "was.active")))
    async with visit.runtime.unit_of_work.begin() as session:
        user = await accounts.change_user(session, id_in(visit, "user"), to, visit.by, shown=shown)
    state = "open" if to.is_active else "closed; all its logins have ended"
    return visit.go(_path(visit, user), f"{user.email} is {to.role.value}, and the account is {state}.")


async def end_logins(visit: Visit) -> Response:
    """End all logins of the user."""
    async with visit.runtime.unit_of_work.begin() as session:
        user = await accounts.user_of(session, id_in(visit, "user"))
        await accounts.end_logins(session, user, visit.by)
    return visit.go(_path(visit, user), f"All logins of {user.email} have ended.")


async def reset_factor(visit: Visit) -> Response:
    """Ask the user for no second factor, until another one is set up."""
    async with visit.runtime.unit_of_work.begin() as session:
        user = await accounts.user_of(session, id_in(visit, "user"))
        _require_other(visit, user)
        await accounts.end_logins(session, user, visit.by)
    await visit.runtime.second_factors.remove(user.id, visit.by)
    return visit.go(_path(visit, user), f"{user.email} has no second factor any more; all logins have ended.")


async def reset_password(visit: Visit) -> Response:
    """Another password, which is shown this once."""
    password = make_password()
    async with visit.runtime.unit_of_work.begin() as session:
        user = await accounts.user_of(session, id_in(visit, "user"))
        _require_other(visit, user)
        await accounts.set_password(session, user, password, visit.by)
    return await _password_page(visit, user, password, "The password was changed; all logins have ended.")


def _require_other(visit: Visit, user: User) -> None:
    """One's own password and second factor are changed by who knows them, not by who sits at an open session.

    Raises:
        Conflict: it is one's own account.
    """
    if user.id == visit.session.user_id:
        raise Conflict("This is your own account.", hint="Change it on the page of your account.")


async def _password_page(visit: Visit, user: User, password: str, message: str) -> Response:
    return await visit.page(
        "system/shown_once.html",
        title=user.email,
        message=message,
        what="Password",
        secret=password,
        advice="Hand it over where nobody listens, and have it changed at the first login.",
        back=_path(visit, user),
        back_words=user.email,
    )


def _path(visit: Visit, user: User) -> str:
    return visit.at("-", "users", str(user.id))


def _truth(text: str) -> bool:
    if text not in ("yes", "no"):
        raise InvalidBody("An account is open or closed.")
    return text == "yes"
