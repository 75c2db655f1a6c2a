"""Users, API keys and grants, as administrators manage them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.errors import Conflict, InvalidBody, RowNotFound
from service.core.security import hash_password, hash_token, make_api_key
from service.core.types import Action, Role
from service.models.system import ApiKey, Grant, RefreshToken, Session, User

MINIMUM_PASSWORD_LENGTH = 12


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key, which is shown this once, and how it is recognised later."""

    key: str
    prefix: str
    id: UUID


async def create_user(session: AsyncSession, email: str, password: str, role: Role) -> User:
    """A new user.

    Raises:
        InvalidBody: the address is none, or the password too short.
        Conflict: the address is taken.
    """
    address = _address(email)
    if await find_user(session, address) is not None:
        raise Conflict(f"There is a user {address} already.")
    user = User(email=address, password_hash=_hash(password), role=role.value)
    session.add(user)
    await session.flush()
    return user


async def find_user(session: AsyncSession, email: str) -> User | None:
    user: User | None = await session.scalar(select(User).where(func.lower(User.email) == email.lower()))
    return user


async def get_user(session: AsyncSession, email: str) -> User:
    """The user of that address.

    Raises:
        RowNotFound: there is none.
    """
    user = await find_user(session, email)
    if user is None:
        raise RowNotFound(f"There is no user {email}.")
    return user


async def set_password(session: AsyncSession, user: User, password: str) -> None:
    """Change the password and end all logins.

    Raises:
        InvalidBody: the password is too short.
    """
    user.password_hash = _hash(password)
    await end_logins(session, user)


async def end_logins(session: AsyncSession, user: User) -> None:
    """Revoke every login of the user: sessions, refresh tokens, and with them access tokens."""
    for login in (RefreshToken, Session):
        await session.execute(
            update(login).where(login.user_id == user.id, login.revoked_at.is_(None)).values(revoked_at=func.now())
        )


async def create_key(session: AsyncSession, name: str, role: Role, days: int | None) -> NewKey:
    """A new API key, for `days` days or for ever.

    Raises:
        InvalidBody: the name is empty or too long.
    """
    if not name.strip() or len(name) > 100:
        raise InvalidBody("A key needs a name, of at most 100 characters.")
    key, prefix = make_api_key()
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    kept = ApiKey(name=name, prefix=prefix, key_hash=hash_token(key), role=role.value, expires_at=expires_at)
    session.add(kept)
    await session.flush()
    return NewKey(key, prefix, kept.id)


async def revoke_key(session: AsyncSession, prefix: str) -> None:
    """Revoke the key of that prefix.

    Raises:
        RowNotFound: there is none that is not revoked.
    """
    revoked = await session.execute(
        update(ApiKey)
        .where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(ApiKey.id)
    )
    if revoked.first() is None:
        raise RowNotFound(f"There is no key {prefix} that is not revoked.")


async def grant(
    session: AsyncSession,
    role: Role,
    table: str,
    actions: list[Action],
    row_filter: str | None,
    columns: list[str] | None = None,
) -> None:
    """Let a role do the actions on a table, on the rows that the filter selects; read or set these columns alone."""
    rows = [
        {
            "role": role.value,
            "table_name": table,
            "action": action.value,
            "row_filter": row_filter,
            "columns": columns,
        }
        for action in actions
    ]
    statement = insert(Grant).values(rows)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Grant.role, Grant.table_name, Grant.action],
            set_={"row_filter": statement.excluded.row_filter, "columns": statement.excluded["columns"]},
        )
    )


async def revoke_grant(session: AsyncSession, role: Role, table: str, actions: list[Action]) -> int:
    """Take actions back. Returns how many were granted."""
    revoked = await session.execute(
        delete(Grant)
        .where(Grant.role == role.value, Grant.table_name == table, Grant.action.in_([item.value for item in actions]))
        .returning(Grant.id)
    )
    return len(revoked.all())


def _address(email: str) -> str:
    try:
        return validate_email(email, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise InvalidBody(f"{email!r} is no e-mail address: {error}") from None


def _hash(password: str) -> str:
    if len(password) < MINIMUM_PASSWORD_LENGTH:
        raise InvalidBody(f"A password needs at least {MINIMUM_PASSWORD_LENGTH} characters.")
    return hash_password(password)
