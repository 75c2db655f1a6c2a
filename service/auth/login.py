"""OAuth2 password flow with rotating refresh tokens (RFC 6749, sections 4.3 and 6; RFC 9700, section 4.14)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.limits import LoginThrottle
from service.auth.second_factor import SecondFactors
from service.auth.security_events import By, EventKind, name_tried, note
from service.core.errors import AuthenticationFailed
from service.core.security import TokenSigner, hash_token, make_token, verify_password
from service.core.settings import SecuritySettings
from service.db.engine import UnitOfWork
from service.models.system import RefreshToken, User
from service.observability.metrics import AuthMetrics

_API = "API"
_NEEDED = "second_factor_needed"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login gives. `expires_in` is in seconds, of the access token."""

    access_token: str
    refresh_token: str
    expires_in: int


class Logins:
    """Starts, continues and ends logins."""

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        signer: TokenSigner,
        throttle: LoginThrottle,
        factors: SecondFactors,
        settings: SecuritySettings,
        metrics: AuthMetrics,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._signer = signer
        self._throttle = throttle
        self._factors = factors
        self._metrics = metrics
        self._refresh_life = timedelta(seconds=settings.refresh_token_seconds)

    async def log_in(self, email: str, password: str, address: str, code: str | None = None) -> TokenPair:
        """A new login. Whoever has a second factor shows a `code` of it.

        Raises:
            AuthenticationFailed: as `verify`; `second_factor_needed` where the code is missing, or it is wrong.
            TooManyRequests: as `verify`.
        """
        async with self._throttle.attempt(email, address):
            async with self._noted(EventKind.LOGIN_FAILED, email, address, _API):
                user = await self._verified(email, password)
        if await self._factors.is_on(user.id):
            await self._show(user, code, address)
        async with self._unit_of_work.begin() as session:
            note(session, EventKind.LOGGED_IN, By(f"user:{user.email}", address), user.email, way=_API)
            pair = self._issue(session, user.id, uuid4())
        self._metrics.count_login(_API)
        return pair

    async def verify(self, email: str, password: str, address: str, way: str = "back-office") -> User:
        """Whose name and password these are. `way` tells the log where they were asked for.

        Raises:
            AuthenticationFailed: name or password is wrong (which of them is not said), or the account is closed.
            TooManyRequests: too many failures of this account or address.
        """
        async with self._throttle.attempt(email, address), self._noted(EventKind.LOGIN_FAILED, email, address, way):
            return await self._verified(email, password)

    async def verify_factor(self, user_id: UUID, email: str, code: str, address: str) -> None:
        """Use up a code of the user's second factor.

        Raises:
            AuthenticationFailed: it is wrong, or was used before.
            TooManyRequests: too many failures of this account or address.
        """
        way = EventKind.FACTOR_FAILED, email, address, "back-office"
        async with self._throttle.attempt(email, address, of_factor=True), self._noted(*way):
            await self._factors.verify(user_id, code, By(f"user:{email}", address))

    async def confirm_factor(self, user_id: UUID, email: str, code: str, by: By) -> list[str]:
        """Turn a second factor on by a code of it. Returns the recovery codes. Raises: as `verify_factor`."""
        address = by.address or ""
        way = EventKind.FACTOR_FAILED, email, address, "account page"
        async with self._throttle.attempt(email, address, of_factor=True), self._noted(*way):
            return await self._factors.confirm(user_id, code, by)

    @asynccontextmanager
    async def _noted(self, kind: EventKind, email: str, address: str, way: str) -> AsyncIterator[None]:
        """Keep a failure in the log of security events."""
        try:
            yield
        except AuthenticationFailed as error:
            is_missing = error.stable_code == _NEEDED
            if not is_missing:
                self._metrics.count_failure("password" if kind is EventKind.LOGIN_FAILED else "second_factor")
            async with self._unit_of_work.begin() as session:
                note(session, kind, By(None, address), name_tried(email), way=way, no_code=is_missing or None)
            raise

    async def _show(self, user: User, code: str | None, address: str) -> None:
        way = EventKind.FACTOR_FAILED, user.email, address, _API
        async with self._throttle.attempt(user.email, address, of_factor=True), self._noted(*way):
            if not code:
                raise AuthenticationFailed(
                    "This login needs a code of your authenticator.",
                    hint="Send it as `otp`, beside the password.",
                    code=_NEEDED,
                )
            await self._factors.verify(user.id, code, By(f"user:{user.email}", address))

    async def _verified(self, email: str, password: str) -> User:
        async with self._unit_of_work.begin() as session:
            user = await session.scalar(select(User).where(func.lower(User.email) == email.lower()))
        # Argon2 takes tens of milliseconds: not on the event loop, and not while a connection is held.
        is_right = await asyncio.to_thread(verify_password, password, user.password_hash if user else None)
        if user is None or not is_right or not user.is_active:
            raise AuthenticationFailed("The name or the password is wrong.")
        return user

    async def refresh(self, refresh_token: str, address: str) -> TokenPair:
        """The next pair of a login. A token that was used before ends the whole login.

        Raises:
            AuthenticationFailed: the token is unknown, expired, used before, or its login has ended.
        """
        async with self._unit_of_work.begin() as session:
            found = await session.scalar(
                select(RefreshToken).where(RefreshToken.token_hash == hash_token(refresh_token)).with_for_update()
            )
            pair = await self._rotate(session, found, address) if found is not None else None
        # Raised only now: a family that was revoked must stay revoked.
        if pair is None:
            self._metrics.count_failure("refresh_token")
            raise AuthenticationFailed("The refresh token is not valid.", hint="Log in again.")
        return pair

    async def log_out(self, refresh_token: str, address: str) -> None:
        """End the login that a refresh token belongs to. An unknown token has nothing to end (RFC 7009)."""
        async with self._unit_of_work.begin() as session:
            found = await session.get(RefreshToken, hash_token(refresh_token))
            if found is not None:
                if found.revoked_at is None and (user := await session.get(User, found.user_id)) is not None:
                    note(session, EventKind.LOGGED_OUT, By(f"user:{user.email}", address), user.email, way=_API)
                await _revoke(session, found.family)

    async def _rotate(self, session: AsyncSession, token: RefreshToken, address: str) -> TokenPair | None:
        now = datetime.now(UTC)
        user = await session.get(User, token.user_id)
        if token.used_at is not None:
            if token.revoked_at is None:
                note(session, EventKind.TOKEN_REUSED, By(None, address), user.email if user else None)
            await _revoke(session, token.family)
            return None
        if token.revoked_at is not None or token.expires_at <= now or user is None or not user.is_active:
            return None
        token.used_at = now
        return self._issue(session, token.user_id, token.family)

    def _issue(self, session: AsyncSession, user_id: UUID, family: UUID) -> TokenPair:
        refresh_token = make_token()
        session.add(
            RefreshToken(
                token_hash=hash_token(refresh_token),
                family=family,
                user_id=user_id,
                expires_at=datetime.now(UTC) + self._refresh_life,
            )
        )
        return TokenPair(self._signer.sign(user_id, family), refresh_token, self._signer.lifetime_seconds)


async def _revoke(session: AsyncSession, family: UUID) -> None:
    await session.execute(
        update(RefreshToken)
        .where(RefreshToken.family == family, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
