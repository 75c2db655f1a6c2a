"""One's own account: password, second factor, and where one is logged in."""

from starlette.responses import Response

from service.admin.pages.system.browser_name import browser_name
from service.admin.pages.system.sent import id_in, text_in
from service.admin.visit import Visit
from service.api.problem import status_of
from service.core.errors import AuthenticationFailed, InvalidBody, RowhouseError
from service.crud import accounts
from service.crud.accounts import MINIMUM_PASSWORD_LENGTH


async def show(visit: Visit) -> Response:
    """The account."""
    return await account_page(visit)


async def account_page(visit: Visit, error: RowhouseError | None = None, at: str = "") -> Response:
    """The page, with what went wrong beside the form `at` which it did."""
    runtime, user_id = visit.runtime, visit.session.user_id
    return await visit.page(
        "system/account.html",
        200 if error is None else status_of(error),
        title="Your account",
        error=error,
        at=at,
        has_factor=await runtime.second_factors.is_on(user_id),
        codes_left=await runtime.second_factors.codes_left(user_id),
        sessions=[session for session, _ in await runtime.sessions.of_user(user_id)],
        logins_of_api=await runtime.sessions.logins_of_api(user_id),
        shortest=MINIMUM_PASSWORD_LENGTH,
        browser_name=browser_name,
    )


async def change_password(visit: Visit) -> Response:
    """Another password; the other logins end, and this one goes on under another cookie."""
    new = text_in(visit.form, "new")
    try:
        if new != text_in(visit.form, "again"):
            raise InvalidBody("The new password and its repetition differ.")
        await require_password(visit, "old")
        async with visit.runtime.unit_of_work.begin() as session:
            user = await accounts.user_of(session, visit.session.user_id)
            await accounts.set_password(session, user, new, visit.by, kept=visit.session.id)
    except (AuthenticationFailed, InvalidBody) as error:
        return await account_page(visit, error, "password")
    await visit.renew_session()
    return visit.go(visit.at("-", "account"), "Your password was changed; your other logins have ended.")


async def require_password(visit: Visit, name: str = "password") -> None:
    """See that it is the operator who asks.

    Raises:
        AuthenticationFailed: the password in the form is wrong.
        TooManyRequests: that was so too often.
    """
    try:
        await visit.runtime.logins.verify(
            visit.session.email, text_in(visit.form, name), visit.by.address or "", way="account page"
        )
    except AuthenticationFailed:
        raise AuthenticationFailed("The password is wrong.") from None


async def end_session(visit: Visit) -> Response:
    """End one of one's own sessions."""
    ended = id_in(visit, "session")
    await visit.runtime.sessions.end(ended, visit.session.user_id, by=visit.by)
    if ended == visit.session.id:
        return visit.go(visit.at("login"))
    return visit.go(visit.at("-", "account"), "The session has ended.")


async def end_others(visit: Visit) -> Response:
    """End all one's other logins."""
    await visit.runtime.sessions.end_others(visit.session.user_id, visit.session.id, visit.by)
    return visit.go(visit.at("-", "account"), "All your other logins have ended.")
