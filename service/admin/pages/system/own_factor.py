"""One's own second factor: turn it on and off, and make new recovery codes."""

import segno
from starlette.responses import Response

from service.admin.pages.system.account import account_page, require_password
from service.admin.pages.system.sent import text_in
from service.admin.visit import Visit
from service.api.problem import status_of
from service.auth.second_factor import Enrolment
from service.core.errors import AuthenticationFailed, Conflict, RowhouseError

_MODULE = 5  # pixels
_QUIET_ZONE = 4  # modules, ISO/IEC 18004


async def enrol(visit: Visit) -> Response:
    """Show a new secret."""
    try:
        await require_password(visit)
    except AuthenticationFailed as error:
        return await account_page(visit, error, "factor")
    made = await visit.runtime.second_factors.enrol(visit.session.user_id, visit.session.email)
    return await _secret_page(visit, made)


async def confirm(visit: Visit) -> Response:
    """Turn it on, once a code was shown; the recovery codes are shown this once."""
    session, code = visit.session, text_in(visit.form, "code")
    try:
        codes = await visit.runtime.logins.confirm_factor(session.user_id, session.email, code, visit.by)
    except AuthenticationFailed as error:
        begun = await visit.runtime.second_factors.begun(session.user_id, session.email)
        if begun is None:
            raise Conflict("There is no second factor to turn on.", hint="Begin again.") from None
        return await _secret_page(visit, begun, error)
    # Logins from before it have shown the password alone.
    await visit.runtime.sessions.end_others(session.user_id, session.id, visit.by)
    await visit.renew_session()
    return await _codes_page(visit, codes, "Your second factor is on; your other logins have ended.")


async def renew_codes(visit: Visit) -> Response:
    """Other recovery codes."""
    try:
        await _require_both(visit)
    except AuthenticationFailed as error:
        return await account_page(visit, error, "codes")
    codes = await visit.runtime.second_factors.renew_codes(visit.session.user_id, visit.by)
    return await _codes_page(visit, codes, "These recovery codes take the place of those before.")


async def remove(visit: Visit) -> Response:
    """Turn it off."""
    try:
        await _require_both(visit)
    except AuthenticationFailed as error:
        return await account_page(visit, error, "remove")
    await visit.runtime.second_factors.remove(visit.session.user_id, visit.by)
    await visit.renew_session()
    return visit.go(visit.at("-", "account"), "Your second factor is off.")


async def _require_both(visit: Visit) -> None:
    """Ask for password and code. Raises: AuthenticationFailed, TooManyRequests."""
    await require_password(visit)
    session, code = visit.session, text_in(visit.form, "code")
    await visit.runtime.logins.verify_factor(session.user_id, session.email, code, visit.by.address or "")


async def _secret_page(visit: Visit, made: Enrolment, error: RowhouseError | None = None) -> Response:
    code = segno.make(made.url, micro=False, error="m")
    picture = code.svg_data_uri(scale=_MODULE, border=_QUIET_ZONE, dark="#000", light="#fff")
    parts = [made.secret[place : place + 4] for place in range(0, len(made.secret), 4)]
    return await visit.page(
        "system/factor.html",
        200 if error is None else status_of(error),
        title="Second factor",
        picture=picture,
        secret=" ".join(parts),
        error=error,
    )


async def _codes_page(visit: Visit, codes: list[str], message: str) -> Response:
    return await visit.page("system/codes.html", title="Recovery codes", codes=codes, message=message)
