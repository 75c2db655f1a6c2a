"""The log of security events. Each is written in the transaction of what it tells of: neither is kept alone."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from service.models.system import SecurityEvent

_LONGEST_NAME = 254


class EventKind(StrEnum):
    """What happened."""

    LOGGED_IN = "logged_in"
    LOGGED_OUT = "logged_out"
    LOGIN_FAILED = "login_failed"
    FACTOR_FAILED = "second_factor_failed"
    FACTOR_ON = "second_factor_on"
    FACTOR_OFF = "second_factor_off"
    RECOVERY_CODE_USED = "recovery_code_used"
    RECOVERY_CODES_MADE = "recovery_codes_made"
    SESSION_ENDED = "session_ended"
    LOGINS_ENDED = "logins_ended"
    TOKEN_REUSED = "refresh_token_reused"  # noqa: S105 (the name of an event)
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    USER_CREATED = "user_created"
    ROLE_CHANGED = "role_changed"
    USER_CLOSED = "user_closed"
    USER_OPENED = "user_opened"
    KEY_CREATED = "key_created"
    KEY_REVOKED = "key_revoked"
    GRANTED = "granted"
    GRANT_REVOKED = "grant_revoked"
    DATABASE_RESTORED = "database_restored"


FAILURES = (EventKind.LOGIN_FAILED, EventKind.FACTOR_FAILED, EventKind.TOKEN_REUSED)


@dataclass(frozen=True, slots=True)
class By:
    """Who does something (`user:ada@example.com`, `cli:ada`; None: nobody is known), and from which address."""

    actor: str | None
    address: str | None = None


ROWHOUSE = By("rowhouse")


def note(session: AsyncSession, kind: EventKind, by: By, subject: str | None, **details: object) -> None:
    """Add an event, kept when the session is. Nothing secret may be in it."""
    kept = {name: value for name, value in details.items() if value is not None}
    session.add(SecurityEvent(kind=kind.value, actor=by.actor, subject=subject, address=by.address, details=kept))


def name_tried(text: str) -> str | None:
    """The name of a login that failed. People type passwords there by mistake: what is no address is not kept."""
    name = text.strip()[:_LONGEST_NAME]
    return name if "@" in name and name.isprintable() else None
