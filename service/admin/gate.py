"""Who is at the door: the session's cookie, and the token that every form carries.

A cookie is sent along by any page that makes a browser send a form; the token is not (OWASP, CSRF prevention).
"""

from http.cookies import CookieError
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from service.auth.sessions import OpenSession
from service.core.errors import Forbidden
from service.core.security import make_token
from service.runtime import Runtime
from service.state import ServiceState

SESSION_COOKIE = "rowhouse_session"
# Tells a visitor who is not logged in yet from the others, so that a login form has a token as well.
VISITOR_COOKIE = "rowhouse_visitor"
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
_OWN = ("same-origin", "none")


def admin_root(request: Request) -> str:
    """The path of the back-office, with the prefix under which the service is published."""
    return str(request.scope["root_path"]).rstrip("/")


def cookie(request: Request, name: str) -> str | None:
    """A cookie; None where there is none, or the header cannot be read."""
    try:
        return request.cookies.get(name)
    except CookieError:
        return None


def set_cookie(request: Request, response: Response, name: str, value: str, seconds: int | None) -> None:
    """A cookie of the back-office alone, which no script sees."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=admin_root(request) or "/",
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(name, path=admin_root(request) or "/", httponly=True, samesite="lax")


def visitor(request: Request) -> str:
    """What tells this browser from others before it is logged in; made where it has nothing yet."""
    return cookie(request, VISITOR_COOKIE) or make_token()


def of_visitor(visitor: str) -> str:
    """Whose the token of a login form is. The cookie can say anything, also the id of somebody's session; the token of
    that is not to be had so.
    """
    return f"visitor {visitor}"


def require_own(request: Request, runtime: Runtime, whose: str, token: object) -> None:
    """Refuse what another site has made this browser send.

    Raises:
        Forbidden: the token is missing or wrong, or the browser says where the request comes from.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site not in _OWN or not isinstance(token, str) or not runtime.csrf.holds(whose, token):
        raise Forbidden(
            "This form is out of date, or was not made here.",
            hint="Go back, load the page again, and repeat what you did.",
            code="csrf",
        )


def safe_target(request: Request, target: str | None) -> str:
    """Where to go after the login: a page of the back-office, whatever was asked for."""
    root = admin_root(request)
    if not target or "\\" in target or any(ord(character) < 33 for character in target):
        return f"{root}/"
    parts = urlsplit(target)
    is_here = not parts.scheme and not parts.netloc and not target.startswith("//") and "/.." not in unquote(parts.path)
    return target if is_here and parts.path.startswith(f"{root}/") else f"{root}/"


class Gate:
    """Knows whose request it is."""

    def __init__(self, state: ServiceState) -> None:
        self._state = state

    async def session(self, request: Request) -> OpenSession | None:
        """The session of the cookie, complete or not."""
        token = cookie(request, SESSION_COOKIE)
        return None if token is None else await self._state.connected().sessions.find(token)
