"""Secrets, tokens, origins and limits."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from service.core.settings.section import Section, parted
from service.core.types import Role

MINIMUM_SECRET_LENGTH = 32


class SecuritySettings(Section):
    """Secrets, tokens, origins and limits."""

    jwt_secret: SecretStr | None = Field(
        None,
        description=f"Key that signs access tokens, at least {MINIMUM_SECRET_LENGTH} characters. In development "
        "one is made and kept in `DATA_DIR`.",
    )
    access_token_seconds: int = Field(900, ge=60, description="Life of an access token.")
    refresh_token_seconds: int = Field(30 * 86400, ge=300, description="Life of a refresh token.")
    session_seconds: int = Field(7 * 86400, ge=300, description="Life of a login to the back-office.")
    session_idle_seconds: int = Field(
        12 * 3600, ge=60, description="Seconds after which such a login ends that is not used."
    )
    anonymous_role: Role | None = Field(
        None, description="Role of a request without a credential: `viewer`, `editor` or `admin`. Default: none."
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins that browsers may call from (CORS), parted by commas. Default: none."
    )
    rate_limit: int = Field(6000, ge=1, description="Requests a minute of one principal from one address.")
    login_rate_limit: int = Field(10, ge=1, description="Failed logins a minute of one account, and of one address.")
    credential_cache_seconds: float = Field(
        1.0, ge=0, description="How long a verified credential or grant is believed before it is read again."
    )

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return parted(value)

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, separator, host = origin.partition("://")
            if scheme not in ("http", "https") or not separator or not host or "/" in host or "*" in host:
                raise ValueError(f"{origin!r} is no origin; write scheme and host, such as https://shiny.example.org")
        return origins
