"""Sessions: browsers that are logged in to the back-office, as rows, so that they can be listed and ended."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.principal import Principal, PrincipalKind
from service.auth.security_events import ROWHOUSE, By, EventKind, note
from service.core.errors import AuthenticationFailed, RowNotFound
from service.core.security import hash_token, make_token
from service.core.settings import SecuritySettings
from service.core.types import Role
from service.db.engine import UnitOfWork
from service.models.system import RefreshToken, SecondFactor, Session, User
from service.observability.metrics import AuthMetrics

_WAY = "back-office"
_ROTATED_EVERY = timedelta(minutes=15)
# Requests that were under way when the cookie changed still carry the one before.
_GRACE = timedelta(seconds=60)
_SEEN_EVERY = timedelta(minutes=1)
_SECONDS_TO_COMPLETE = timedelta(minutes=5)
_LONGEST_BROWSER = 200


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that holds. `token` is what its cookie should be from now on; None where it stays.

    One that is not complete waits for the second factor, and stands for nobody yet.
    """

    id: UUID
    user_id: UUID
    email: str
    role: Role
    is_complete: bool
    token: str | None

    @property
    def principal(self) -> Principal:
        return Principal(PrincipalKind.USER, str(self.user_id), self.email, self.role, self.id)


class Sessions:
    """Opens sessions, recognises them, and ends them."""

    def __init__(self, unit_of_work: UnitOfWork, settings: SecuritySettings, metrics: AuthMetrics) -> None:
        self._unit_of_work = unit_of_work
        self._metrics = metrics
        self._idle = timedelta(seconds=settings.session_idle_seconds)
        self._life = timedelta(seconds=settings.session_seconds)

    async def open(self, user_id: UUID, address: str, browser: str) -> tuple[str, bool]:
        """A session of a user whose password was right: its token, and whether it is complete without a second
        factor.
        """
        token, now = make_token(), datetime.now(UTC)
        async with self._unit_of_work.begin() as session:
            has_factor = await session.scalar(
                select(exists().where(SecondFactor.user_id == user_id, SecondFactor.is_confirmed))
            )
            life = _SECONDS_TO_COMPLETE if has_factor else self._life
            session.add(
                Session(
                    token_hash=hash_token(token),
                    user_id=user_id,
                    is_complete=not has_factor,
                    address=address,
                    browser=browser[:_LONGEST_BROWSER],
                    expires_at=now + life,
                )
            )
            if not has_factor:
                await _note_login(session, user_id, address)
        if not has_factor:
            self._metrics.count_login(_WAY)
        return token, not has_factor

    async def complete(self, identity: UUID) -> str:
        """The second factor was shown: the session goes on under another token.

        Raises:
            AuthenticationFailed: it was ended meanwhile, or is complete already.
        """
        token, now = make_token(), datetime.now(UTC)
        async with self._unit_of_work.begin() as session:
            completed = (
                update(Session)
                .where(Session.id == identity, Session.is_complete.is_(False), Session.revoked_at.is_(None))
                .values(
                    token_hash=hash_token(token),
                    previous_hash=None,
                    is_complete=True,
                    rotated_at=now,
                    last_seen_at=now,
                    expires_at=now + self._life,
                )
            )
            found = (await session.execute(completed.returning(Session.user_id, Session.address))).first()
            if found is None:
                raise AuthenticationFailed("This login has ended. Log in again.")
            user_id, address = found
            await _note_login(session, user_id, address)
        self._metrics.count_login(_WAY)
        return token

    async def rotate(self, identity: UUID) -> str:
        """Another token for a session whose user has changed how it logs in; the one before ends at once."""
        token = make_token()
        rotated = (
            update(Session)
            .where(Session.id == identity)
            .values(token_hash=hash_token(token), previous_hash=None, rotated_at=func.now())
        )
        async with self._unit_of_work.begin() as session:
            await session.execute(rotated)
        return token

    async def find(self, token: str) -> OpenSession | None:
        """The session of a cookie; None where it has ended, or never was."""
        now, digest = datetime.now(UTC), hash_token(token)
        # An answer may be lost with the cookie that it brings: until that was seen, the one before holds.
        is_before = (Session.rotated_at > now - _GRACE) | (Session.last_seen_at <= Session.rotated_at)
        is_its = (Session.token_hash == digest) | ((Session.previous_hash == digest) & is_before)
        holds = Session.revoked_at.is_(None) & (Session.expires_at > now) & (Session.last_seen_at > now - self._idle)
        async with self._unit_of_work.begin() as session:
            row = (
                await session.execute(
                    select(Session, User).join(User, User.id == Session.user_id).where(is_its, holds, User.is_active)
                )
            ).first()
            if row is None:
                return None
            found, user = row
            token_now = await _refreshed(session, found, digest, now) if found.is_complete else None
        return OpenSession(found.id, user.id, user.email, Role(user.role), found.is_complete, token_now)

    async def of_user(self, user_id: UUID | None) -> list[tuple[Session, User]]:
        """Sessions that hold, of one user or of all, the last seen first."""
        now = datetime.now(UTC)
        holds = Session.revoked_at.is_(None) & (Session.expires_at > now) & (Session.last_seen_at > now - self._idle)
        listed = select(Session, User).join(User, User.id == Session.user_id).where(holds, Session.is_complete)
        if user_id is not None:
            listed = listed.where(Session.user_id == user_id)
        async with self._unit_of_work.begin() as session:
            rows = await session.execute(listed.order_by(Session.last_seen_at.desc(), Session.id).limit(500))
            return [(found, user) for found, user in rows]

    async def end(
        self,
        identity: UUID,
        user_id: UUID | None = None,
        *,
        by: By = ROWHOUSE,
        kind: EventKind = EventKind.SESSION_ENDED,
    ) -> None:
        """End a session, of that user where one is named.

        Raises:
            RowNotFound: there is none that holds.
        """
        ended = update(Session).where(Session.id == identity, Session.revoked_at.is_(None))
        if user_id is not None:
            ended = ended.where(Session.user_id == user_id)
        ended = ended.where(User.id == Session.user_id).values(revoked_at=func.now())
        async with self._unit_of_work.begin() as session:
            email = await session.scalar(ended.returning(User.email))
            if email is None:
                raise RowNotFound("There is no such session, or it has ended.")
            note(session, kind, by, email)

    async def end_others(self, user_id: UUID, kept: UUID, by: By) -> None:
        """End all other logins of a user, those of the API included."""
        sessions = update(Session).where(Session.user_id == user_id, Session.id != kept, Session.revoked_at.is_(None))
        tokens = update(RefreshToken).where(RefreshToken.user_id == user_id, RefreshToken.revoked_at.is_(None))
        async with self._unit_of_work.begin() as session:
            for logins in (sessions, tokens):
                await session.execute(logins.values(revoked_at=func.now()))
            email = await session.scalar(select(User.email).where(User.id == user_id))
            note(session, EventKind.LOGINS_ENDED, by, email, kept="the session that asked for it")

    async def logins_of_api(self, user_id: UUID) -> int:
        """How many logins of the API a user has."""
        now = datetime.now(UTC)
        holds = RefreshToken.revoked_at.is_(None) & RefreshToken.used_at.is_(None) & (RefreshToken.expires_at > now)
        families = select(func.count(RefreshToken.family.distinct())).where(RefreshToken.user_id == user_id, holds)
        async with self._unit_of_work.begin() as session:
            return await session.scalar(families) or 0


async def _note_login(session: AsyncSession, user_id: UUID, address: str) -> None:
    email = await session.scalar(select(User.email).where(User.id == user_id))
    note(session, EventKind.LOGGED_IN, By(f"user:{email}", address), email, way=_WAY)


async def _refreshed(session: AsyncSession, found: Session, digest: bytes, now: datetime) -> str | None:
    """Note that it was seen, and give it another token when it is time; of two requests at once, to one."""
    is_current = found.token_hash == digest
    if found.rotated_at <= now - (_ROTATED_EVERY if is_current else _GRACE):
        token = make_token()
        rotated = (
            update(Session)
            .where(Session.id == found.id, Session.token_hash == found.token_hash)
            .values(token_hash=hash_token(token), previous_hash=digest, rotated_at=now, last_seen_at=now)
        )
        if await session.scalar(rotated.returning(Session.id)) is not None:
            return token
    elif is_current and found.last_seen_at <= max(now - _SEEN_EVERY, found.rotated_at):
        await session.execute(update(Session).where(Session.id == found.id).values(last_seen_at=now))
    return None
