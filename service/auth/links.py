"""Signed links: a URL that stands for its maker, for one exact read, for a few minutes.

For tools that cannot send headers. A link says who made it, not what that may do: the rights are those of the moment in
which it is used.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from service.auth.authenticate import Authenticator
from service.auth.principal import Principal, PrincipalKind
from service.core.errors import AuthenticationFailed

PREFIX = "rhl_"
_ALGORITHM = "HS256"
_AUDIENCE = "rowhouse-link"
_REFUSED = "The link is not valid, or is for another read."


class Links:
    """Makes links, and finds out for whom they stand."""

    def __init__(self, secret: str, authenticator: Authenticator, lifetime_seconds: int) -> None:
        # A key of its own: what signs a link signs nothing else.
        self._key = hashlib.blake2b(secret.encode(), key=_AUDIENCE.encode(), digest_size=32).digest()
        self._authenticator = authenticator
        self.lifetime_seconds = lifetime_seconds

    def issue(self, principal: Principal, target: bytes) -> str:
        """A token for the read that `target` tells from all others."""
        claims = {
            "aud": _AUDIENCE,
            "exp": datetime.now(UTC) + timedelta(seconds=self.lifetime_seconds),
            "kind": principal.kind,
            "id": principal.id,
            "login": None if principal.login is None else str(principal.login),
            "read": _digest(target),
        }
        return PREFIX + jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    async def redeem(self, token: str, target: bytes) -> Principal:
        """Whom the token stands for.

        Raises:
            AuthenticationFailed: it is not ours, has expired, is for another read, or its maker's credential no longer
                holds.
        """
        try:
            claims = jwt.decode(
                token.removeprefix(PREFIX),
                self._key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "aud", "kind", "id", "read"]},
            )
            if claims["read"] != _digest(target):
                raise AuthenticationFailed(_REFUSED)
            kind, login = PrincipalKind(claims["kind"]), claims.get("login")
            return await self._authenticator.recall(kind, claims["id"], UUID(login) if login else None)
        except jwt.ExpiredSignatureError:
            raise AuthenticationFailed("The link has expired.", hint="Ask for another one.") from None
        except (jwt.InvalidTokenError, ValueError):
            raise AuthenticationFailed(_REFUSED) from None


def _digest(target: bytes) -> str:
    return hashlib.blake2b(target, digest_size=20).hexdigest()
