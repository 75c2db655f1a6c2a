"""Who is calling."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from service.core.types import Role


class PrincipalKind(StrEnum):
    USER = "user"
    API_KEY = "key"
    CONNECT = "connect"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller as verified: a user by id, a key by prefix, a visitor whom only Posit Connect knows by a digest of the
    name. `role` is None for a caller without any rights.

    Of a user, `login` is the login that the access token belongs to, and `expires_at` when the token does.
    """

    kind: PrincipalKind
    id: str
    name: str
    role: Role | None
    login: UUID | None = None
    expires_at: datetime | None = None

    @property
    def actor(self) -> str:
        """How the database's triggers know the caller. Keys may share a name, but no prefix."""
        match self.kind:
            case PrincipalKind.ANONYMOUS:
                return "anonymous"
            case PrincipalKind.USER:
                return f"user:{self.name}"
            case PrincipalKind.CONNECT:
                return f"connect:{self.name}"
            case PrincipalKind.API_KEY:
                return f"key:{self.name}#{self.id}"

    @property
    def subject(self) -> str:
        """How logs and traces know the caller, who is a person: by nothing that says who."""
        return "anonymous" if self.kind is PrincipalKind.ANONYMOUS else f"{self.kind}:{self.id}"

    @property
    def is_anonymous(self) -> bool:
        return self.kind is PrincipalKind.ANONYMOUS
