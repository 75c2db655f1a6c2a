"""Logging in and out: OAuth2 password flow, refresh, revocation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel, Field

from service.api.dependencies import Connected, KnownCaller, client_address
from service.api.responses import responses
from service.auth.login import TokenPair
from service.core.errors import AuthenticationFailed, TooManyRequests
from service.core.types import Role

router = APIRouter(prefix="/api/v1/-/auth", tags=["Login"])
RefreshTokenField = Annotated[
    str, Form(description="The refresh token, as it was given.", min_length=1, max_length=512)
]


class Tokens(BaseModel):
    """The answer of the token endpoint (RFC 6749, section 5.1)."""

    access_token: str = Field(description="Send as `Authorization: Bearer …`.")
    refresh_token: str = Field(description="Good for one refresh. Used twice, it ends the login.")
    token_type: str = Field("bearer", description="Always `bearer`.")
    expires_in: int = Field(description="Life of the access token, in seconds.", examples=[900])

    @classmethod
    def of(cls, pair: TokenPair) -> "Tokens":
        return cls(access_token=pair.access_token, refresh_token=pair.refresh_token, expires_in=pair.expires_in)


class Me(BaseModel):
    """Whom a credential stands for."""

    kind: str = Field(description="`user` or `key`.", examples=["user"])
    name: str = Field(description="E-mail address of the user, or name of the key.", examples=["ada@example.com"])
    role: Role | None = Field(description="What grants are given to.")


@router.post(
    "/token",
    summary="Log in",
    description="Exchanges a user's name and password for an access token and a refresh token.",
    responses=responses(AuthenticationFailed, TooManyRequests),
)
async def log_in(
    request: Request, response: Response, runtime: Connected, form: Annotated[OAuth2PasswordRequestForm, Depends()]
) -> Tokens:
    response.headers["cache-control"] = "no-store"
    return Tokens.of(await runtime.logins.log_in(form.username, form.password, client_address(request)))


@router.post(
    "/refresh",
    summary="Continue a login",
    description="Exchanges a refresh token for a new pair. A token that is used twice ends the whole login.",
    responses=responses(AuthenticationFailed),
)
async def refresh(response: Response, runtime: Connected, refresh_token: RefreshTokenField) -> Tokens:
    response.headers["cache-control"] = "no-store"
    return Tokens.of(await runtime.logins.refresh(refresh_token))


@router.post(
    "/logout",
    status_code=204,
    summary="Log out",
    description="Ends the login that the refresh token belongs to, its access tokens included.",
    responses=responses(),
)
async def log_out(runtime: Connected, refresh_token: RefreshTokenField) -> None:
    await runtime.logins.log_out(refresh_token)


@router.get(
    "/me",
    summary="Who am I?",
    description="Tells whom the credential of the request stands for.",
    responses=responses(AuthenticationFailed),
)
async def me(principal: KnownCaller) -> Me:
    return Me(kind=principal.kind.value, name=principal.name, role=principal.role)
