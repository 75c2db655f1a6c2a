"""Tickets: for browsers, whose EventSource and WebSocket cannot send headers. A ticket is good once, for 30 seconds."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete

from service.auth.authenticate import Authenticator
from service.auth.principal import Principal, PrincipalKind
from service.core.errors import AuthenticationFailed
from service.core.security import hash_token, make_token
from service.core.types import Role
from service.db.engine import UnitOfWork
from service.models.system import Ticket

LIFETIME_SECONDS = 30


class Tickets:
    """Hands out tickets, and takes them back."""

    def __init__(self, unit_of_work: UnitOfWork, authenticator: Authenticator) -> None:
        self._unit_of_work = unit_of_work
        self._authenticator = authenticator

    async def issue(self, principal: Principal) -> str:
        """A ticket that stands for the caller."""
        ticket = make_token()
        now = datetime.now(UTC)
        async with self._unit_of_work.begin() as session:
            await session.execute(delete(Ticket).where(Ticket.expires_at <= now))
            session.add(
                Ticket(
                    token_hash=hash_token(ticket),
                    principal=_kept(principal),
                    expires_at=now + timedelta(seconds=LIFETIME_SECONDS),
                )
            )
        return ticket

    async def redeem(self, ticket: str) -> Principal:
        """Whom the ticket stands for; it is used up.

        Raises:
            AuthenticationFailed: it was used, has expired, or its owner's credential no longer holds.
        """
        used = delete(Ticket).where(Ticket.token_hash == hash_token(ticket), Ticket.expires_at > datetime.now(UTC))
        async with self._unit_of_work.begin() as session:
            kept = await session.scalar(used.returning(Ticket.principal))
        principal = None if kept is None else _read(kept)
        if principal is None or principal not in await self._authenticator.standing([principal]):
            raise AuthenticationFailed("The ticket is not valid.", hint="A ticket is good once, for 30 seconds.")
        return principal


def _kept(principal: Principal) -> dict[str, str | None]:
    return {
        "kind": principal.kind,
        "id": principal.id,
        "name": principal.name,
        "role": principal.role,
        "login": None if principal.login is None else str(principal.login),
        "expires_at": None if principal.expires_at is None else principal.expires_at.isoformat(),
    }


def _read(kept: dict[str, str | None]) -> Principal:
    return Principal(
        PrincipalKind(kept["kind"] or ""),
        kept["id"] or "",
        kept["name"] or "",
        None if kept["role"] is None else Role(kept["role"]),
        None if kept["login"] is None else UUID(kept["login"]),
        None if kept["expires_at"] is None else datetime.fromisoformat(kept["expires_at"]),
    )
