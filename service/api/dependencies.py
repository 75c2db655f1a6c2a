"""What the control plane's handlers need, as `Annotated` aliases."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer

from service.api.caller import remember_caller
from service.auth.principal import Principal
from service.core.errors import AuthenticationFailed, Forbidden
from service.core.types import Role
from service.runtime import Runtime
from service.state import ServiceState

TOKEN_PATH = "/api/v1/-/auth/token"  # noqa: S105 (a path)
oauth2 = OAuth2PasswordBearer(tokenUrl=TOKEN_PATH.lstrip("/"), auto_error=False, description="Log in as a user.")
api_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The key of a service.")


def _state(request: Request) -> ServiceState:
    state: ServiceState = request.app.state.service
    return state


State = Annotated[ServiceState, Depends(_state)]


def _runtime(state: State) -> Runtime:
    return state.connected()


Connected = Annotated[Runtime, Depends(_runtime)]


async def identify(request: Request, state: ServiceState, runtime: Runtime) -> Principal:
    """Who is calling, and not too often.

    Raises:
        AuthenticationFailed: a credential was given and does not hold.
        TooManyRequests: the caller is over the limit.
    """
    address = client_address(request)
    try:
        # The headers themselves: FastAPI's schemes, here for OpenAPI, take an empty one for none.
        headers = request.headers
        principal = await runtime.authenticator.authenticate(headers.get("authorization"), headers.get("x-api-key"))
    except AuthenticationFailed:
        state.limiter.count_refused("api_key" if "x-api-key" in request.headers else "access_token", address)
        raise
    remember_caller(request.scope, principal)
    state.limiter.count(principal.actor, address)
    return principal


async def _caller(
    request: Request,
    state: State,
    runtime: Connected,
    _token: Annotated[str | None, Security(oauth2)] = None,
    _key: Annotated[str | None, Security(api_key_header)] = None,
) -> Principal:
    return await identify(request, state, runtime)


Caller = Annotated[Principal, Depends(_caller)]


async def _known_caller(principal: Caller) -> Principal:
    if principal.is_anonymous:
        raise AuthenticationFailed("This needs a credential.", hint="Send an API key or an access token.")
    return principal


KnownCaller = Annotated[Principal, Depends(_known_caller)]


async def _administrator(principal: KnownCaller) -> Principal:
    if principal.role is not Role.ADMIN:
        raise Forbidden("This is for administrators.")
    return principal


Administrator = Annotated[Principal, Depends(_administrator)]


def client_address(request: Request) -> str:
    """Where the request comes from, as far as the server can tell."""
    return request.client.host if request.client else ""
