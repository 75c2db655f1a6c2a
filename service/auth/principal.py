"""Who is calling."""

from dataclasses import dataclass
from enum import StrEnum

from service.core.types import Role


class PrincipalKind(StrEnum):
    USER = "user"
    API_KEY = "key"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller as verified. `role` is None for a caller without any rights."""

    kind: PrincipalKind
    id: str
    name: str
    role: Role | None

    @property
    def actor(self) -> str:
        """How the database's triggers know the caller."""
        return self.kind.value if self.kind is PrincipalKind.ANONYMOUS else f"{self.kind.value}:{self.name}"

    @property
    def is_anonymous(self) -> bool:
        return self.kind is PrincipalKind.ANONYMOUS
