"""Logging in and out: OAuth2 password flow, refresh, revocation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import AfterValidator, BaseModel, Field

from service.api.dependencies import Connected, KnownCaller, State, client_address
from service.api.responses import responses
from service.auth.login import TokenPair
from service.core.errors import AuthenticationFailed, InvalidBody, TooManyRequests
from service.core.types import Role

router = APIRouter(prefix="/api/v1/-/auth", tags=["Login"])


def _as_text(text: str) -> str:
    """A form's bytes may decode to what no text can hold.

    Raises:
        InvalidBody: they did.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidBody("The form is not UTF-8.") from None
    return text


RefreshTokenField = Annotated[
    str,
    AfterValidator(_as_text),
    Form(description="The refresh token, as it was given.", min_length=1, max_length=512),
]
OneTimePassword = Annotated[
    str | None,
    AfterValidator(lambda text: None if text is None else _as_text(text)),
    Form(description="A code of the authenticator, or a recovery code.", max_length=64),
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

    kind: str = Field(
        description="`user`, `key`, or `connect` (a visitor of Posit Connect without an account).", examples=["user"]
    )
    name: str = Field(description="E-mail address of the user, or name of the key.", examples=["ada@example.com"])
    role: Role | None = Field(description="What grants are given to.")


@router.post(
    "/token",
    summary="Log in",
    description="Exchanges a user's name and password for an access token and a refresh token. Whoever has a second "
    "factor sends a code of it as `otp`; without one the answer is a 401 with the code `second_factor_needed`.",
    responses=responses(AuthenticationFailed, TooManyRequests),
)
async def log_in(
    request: Request,
    response: Response,
    runtime: Connected,
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    otp: OneTimePassword = None,
) -> Tokens:
    response.headers["cache-control"] = "no-store"
    name, password = _as_text(form.username), _as_text(form.password)
    return Tokens.of(await runtime.logins.log_in(name, password, client_address(request), otp))


@router.post(
    "/refresh",
    summary="Continue a login",
    description="Exchanges a refresh token for a new pair. A token that is used twice ends the whole login.",
    responses=responses(AuthenticationFailed, TooManyRequests),
)
async def refresh(
    request: Request, response: Response, state: State, runtime: Connected, refresh_token: RefreshTokenField
) -> Tokens:
    state.limiter.count("login", client_address(request))
    response.headers["cache-control"] = "no-store"
    return Tokens.of(await runtime.logins.refresh(refresh_token, client_address(request)))


@router.post(
    "/logout",
    status_code=204,
    summary="Log out",
    description="Ends the login that the refresh token belongs to, its access tokens included.",
    responses=responses(TooManyRequests),
)
async def log_out(request: Request, state: State, runtime: Connected, refresh_token: RefreshTokenField) -> None:
    state.limiter.count("login", client_address(request))
    await runtime.logins.log_out(refresh_token, client_address(request))


@router.get(
    "/me",
    summary="Who am I?",
    description="Tells whom the credential of the request stands for.",
    responses=responses(AuthenticationFailed),
)
async def me(principal: KnownCaller) -> Me:
    return Me(kind=principal.kind.value, name=principal.name, role=principal.role)
