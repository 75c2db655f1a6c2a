"""Posit Connect, where the service is published there."""

from pydantic import Field, field_validator

from service.core.settings.section import Section
from service.core.types import Role


class ConnectSettings(Section):
    """Posit Connect, where the service is published there."""

    posit_product: str | None = Field(
        None, description="Set by Posit Connect itself, to `CONNECT`. Elsewhere no header of its is believed."
    )
    connect_identity: bool = Field(
        False,
        description="Believe Posit Connect who the visitor is (`RStudio-Connect-Credentials`). Whatever else runs on "
        "that server under its own address can then act as a visitor of it.",
    )
    connect_domain: str | None = Field(
        None,
        pattern=r"^[^@\s]+\.[^@\s]+$",
        description="What makes an account's address of a Connect user's name: `example.com` makes `ada` "
        "`ada@example.com`. Default: the names are addresses.",
    )
    connect_role: Role | None = Field(
        None,
        description="Role of Connect users without an account: `viewer` or `editor`. Default: they are as anonymous "
        "callers.",
    )

    @property
    def is_here(self) -> bool:
        """Whether this process was started by Posit Connect."""
        return self.posit_product == "CONNECT"

    @field_validator("connect_role")
    @classmethod
    def _is_no_administrator(cls, role: Role | None) -> Role | None:
        if role is Role.ADMIN:
            raise ValueError("must be viewer or editor: administrators have accounts")
        return role
