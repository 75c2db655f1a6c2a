"""A visitor as Posit Connect names one.

Connect uses `Authorization` for itself, so that the field is free within the service: `api/posit_connect.py` takes it
from every request, and writes the visitor's name there. Elsewhere the scheme is none that is known.
"""

from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import quote, unquote

from service.auth.principal import Principal, PrincipalKind
from service.core.types import Role

_SCHEME = "Connect "


@dataclass(frozen=True, slots=True)
class ConnectUser:
    """The name of a visitor."""

    name: str

    @property
    def authorization(self) -> str:
        return _SCHEME + quote(self.name, safe="")

    @classmethod
    def read(cls, authorization: str) -> "ConnectUser | None":
        return cls(unquote(authorization.removeprefix(_SCHEME))) if authorization.startswith(_SCHEME) else None

    def address(self, domain: str | None) -> str:
        """The address of the account that this visitor may have."""
        return self.name if "@" in self.name or domain is None else f"{self.name}@{domain}"

    def principal(self, role: Role) -> Principal:
        """One without an account. Logs know people by nothing that says who."""
        return Principal(PrincipalKind.CONNECT, blake2b(self.name.encode(), digest_size=8).hexdigest(), self.name, role)
