"""Second factors: time-based one-time passwords (RFC 6238), and recovery codes for whoever has lost the device."""

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time
from uuid import UUID

import pyotp
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.security_events import ROWHOUSE, By, EventKind, note
from service.core.errors import AuthenticationFailed, Conflict
from service.core.security import hash_token
from service.db.engine import UnitOfWork
from service.models.system import RecoveryCode, SecondFactor, User

_ISSUER = "Rowhouse"
_PERIOD = 30
# A clock may be off by one period (RFC 6238, section 5.2).
_PERIODS_OFF = 1
_RECOVERY_CODES = 10
_WRONG = "The code is wrong, or was used before."


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret for an authenticator, as text and as the URL that it reads from a QR code."""

    secret: str
    url: str


class SecondFactors:
    """Sets second factors up, and asks for them. A secret is kept under a key that is derived from JWT_SECRET."""

    def __init__(self, unit_of_work: UnitOfWork, secret: str) -> None:
        self._unit_of_work = unit_of_work
        self._key = hmac.digest(secret.encode(), b"rowhouse second factor", "sha256")

    async def enrol(self, user_id: UUID, email: str) -> Enrolment:
        """A new secret, which counts once a code of it was shown.

        Raises:
            Conflict: the user has a second factor.
        """
        secret = pyotp.random_base32()
        values = {"secret": self._sealing(user_id).encrypt(secret.encode()), "last_step": 0}
        kept = (
            insert(SecondFactor)
            .values(user_id=user_id, **values)
            .on_conflict_do_update(
                index_elements=[SecondFactor.user_id], set_=values, where=SecondFactor.is_confirmed.is_(False)
            )
        )
        async with self._unit_of_work.begin() as session:
            if await session.scalar(kept.returning(SecondFactor.user_id)) is None:
                raise Conflict("You have a second factor already.", hint="Remove it first.")
        return _enrolment(secret, email)

    async def begun(self, user_id: UUID, email: str) -> Enrolment | None:
        """The secret of a factor of which no code was shown yet."""
        unconfirmed = select(SecondFactor.secret).where(
            SecondFactor.user_id == user_id, SecondFactor.is_confirmed.is_(False)
        )
        async with self._unit_of_work.begin() as session:
            kept = await session.scalar(unconfirmed)
        return None if kept is None else _enrolment(self._opened(user_id, kept), email)

    async def confirm(self, user_id: UUID, code: str, by: By = ROWHOUSE) -> list[str]:
        """From now on the factor is asked for. Returns the recovery codes, which are shown this once.

        Raises:
            AuthenticationFailed: the code is wrong.
        """
        async with self._unit_of_work.begin() as session:
            begun = await self._use(session, user_id, code, is_confirmed=False)
            begun.is_confirmed = True
            codes = await _make_codes(session, user_id)
            note(session, EventKind.FACTOR_ON, by, await _email(session, user_id))
        return codes

    async def renew_codes(self, user_id: UUID, by: By) -> list[str]:
        """Other recovery codes, which are shown this once; those before hold no longer."""
        async with self._unit_of_work.begin() as session:
            codes = await _make_codes(session, user_id)
            note(session, EventKind.RECOVERY_CODES_MADE, by, await _email(session, user_id))
        return codes

    async def is_on(self, user_id: UUID) -> bool:
        async with self._unit_of_work.begin() as session:
            found = await session.scalar(
                select(SecondFactor.user_id).where(SecondFactor.user_id == user_id, SecondFactor.is_confirmed)
            )
        return found is not None

    async def codes_left(self, user_id: UUID) -> int:
        """How many recovery codes were not used yet."""
        async with self._unit_of_work.begin() as session:
            unused = select(func.count()).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
            return await session.scalar(unused) or 0

    async def verify(self, user_id: UUID, code: str, by: By = ROWHOUSE) -> None:
        """Use up a code of the authenticator, or a recovery code.

        Raises:
            AuthenticationFailed: it is wrong, or was used before.
        """
        if code.strip().isdigit():
            async with self._unit_of_work.begin() as session:
                await self._use(session, user_id, code, is_confirmed=True)
        else:
            await self._recover(user_id, code, by)

    async def remove(self, user_id: UUID, by: By = ROWHOUSE) -> None:
        """Ask for no second factor any more; also where none was confirmed yet.

        Raises:
            Conflict: the user has none.
        """
        async with self._unit_of_work.begin() as session:
            removed = delete(SecondFactor).where(SecondFactor.user_id == user_id).returning(SecondFactor.is_confirmed)
            was_confirmed = await session.scalar(removed)
            if was_confirmed is None:
                raise Conflict("There is no second factor.")
            await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
            if was_confirmed:
                note(session, EventKind.FACTOR_OFF, by, await _email(session, user_id))

    async def _use(self, session: AsyncSession, user_id: UUID, code: str, *, is_confirmed: bool) -> SecondFactor:
        """The factor whose code this is; the code and those before it hold no longer."""
        kept = await session.scalar(
            select(SecondFactor)
            .where(SecondFactor.user_id == user_id, SecondFactor.is_confirmed.is_(is_confirmed))
            .with_for_update()
        )
        step = None
        if kept is not None:
            step = _step_of(self._opened(user_id, kept.secret), code.strip(), kept.last_step)
        if kept is None or step is None:
            raise AuthenticationFailed(_WRONG)
        kept.last_step = step
        return kept

    async def _recover(self, user_id: UUID, code: str, by: By) -> None:
        used = (
            update(RecoveryCode)
            .where(RecoveryCode.code_hash == _hash(user_id, code), RecoveryCode.used_at.is_(None))
            .values(used_at=datetime.now(UTC))
        )
        async with self._unit_of_work.begin() as session:
            if await session.scalar(used.returning(RecoveryCode.user_id)) is None:
                raise AuthenticationFailed(_WRONG)
            note(session, EventKind.RECOVERY_CODE_USED, by, await _email(session, user_id))

    def _opened(self, user_id: UUID, sealed: bytes) -> str:
        """The secret.

        Raises:
            AuthenticationFailed: JWT_SECRET is another than it was sealed under.
        """
        try:
            return self._sealing(user_id).decrypt(sealed).decode()
        except InvalidToken:
            raise AuthenticationFailed(
                "The second factor can no longer be read: JWT_SECRET has changed since it was set up.",
                hint="Use a recovery code, or have an administrator take the second factor away.",
            ) from None

    def _sealing(self, user_id: UUID) -> Fernet:
        """The key that seals this user's secret, and nothing else."""
        return Fernet(urlsafe_b64encode(hmac.digest(self._key, user_id.bytes, "sha256")))


def _enrolment(secret: str, email: str) -> Enrolment:
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=_ISSUER))


async def _make_codes(session: AsyncSession, user_id: UUID) -> list[str]:
    """Recovery codes in place of those that there are."""
    codes = [f"{secrets.token_hex(3)}-{secrets.token_hex(3)}-{secrets.token_hex(3)}" for _ in range(_RECOVERY_CODES)]
    await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    session.add_all(RecoveryCode(code_hash=_hash(user_id, one), user_id=user_id) for one in codes)
    return codes


async def _email(session: AsyncSession, user_id: UUID) -> str | None:
    email: str | None = await session.scalar(select(User.email).where(User.id == user_id))
    return email


def _step_of(secret: str, code: str, last_step: int) -> int | None:
    """The period that the code is of, after the last one that was used; None where it is of none."""
    now, otp = int(time()) // _PERIOD, pyotp.TOTP(secret)
    for step in range(now - _PERIODS_OFF, now + _PERIODS_OFF + 1):
        if step > last_step and hmac.compare_digest(otp.generate_otp(step).encode(), code.encode()):
            return step
    return None


def _hash(user_id: UUID, code: str) -> bytes:
    return hash_token(f"{user_id}:{code.strip().lower()}")
