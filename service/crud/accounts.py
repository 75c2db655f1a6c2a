"""Users, API keys and grants, as administrators manage them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.security_events import ROWHOUSE, By, EventKind, note
from service.core.errors import Conflict, InvalidBody, RowNotFound
from service.core.security import hash_password, hash_token, make_api_key
from service.core.types import Action, Role
from service.models.system import ApiKey, Grant, RefreshToken, Session, User

MINIMUM_PASSWORD_LENGTH = 12
# Two administrators who close one another's accounts at the same time would leave none.
_ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtextextended('rowhouse users', 0))")


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key, which is shown this once, and how it is recognised later."""

    key: str
    prefix: str
    id: UUID


@dataclass(frozen=True, slots=True)
class Standing:
    """What a user is, and whether the account is open."""

    role: Role
    is_active: bool

    @property
    def is_administrator(self) -> bool:
        return self.is_active and self.role is Role.ADMIN


async def create_user(session: AsyncSession, email: str, password: str, role: Role, by: By = ROWHOUSE) -> User:
    """A new user.

    Raises:
        InvalidBody: the address is none, or the password too short.
        Conflict: the address is taken.
    """
    address = _address(email)
    if await find_user(session, address) is not None:
        raise Conflict(f"There is a user {address} already.")
    user = User(email=address, password_hash=await _hash(password), role=role.value)
    session.add(user)
    note(session, EventKind.USER_CREATED, by, address, role=role.value)
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


async def user_of(session: AsyncSession, identity: UUID) -> User:
    """The user of that id.

    Raises:
        RowNotFound: there is none.
    """
    user = await session.get(User, identity)
    if user is None:
        raise RowNotFound("There is no such user.")
    return user


async def users_like(session: AsyncSession, part: str, after: str, limit: int) -> Sequence[User]:
    """Users whose address has this part in it, in the order of addresses, from behind one on."""
    address = func.lower(User.email)
    found = select(User).where(address.contains(part.lower(), autoescape=True), address > after.lower())
    return (await session.scalars(found.order_by(address).limit(limit))).all()


async def change_user(
    session: AsyncSession,
    identity: UUID,
    to: Standing,
    by: By = ROWHOUSE,
    *,
    shown: Standing | None = None,
) -> User:
    """Give a user another role, or close or open the account, which ends all logins. `shown` is what whoever asks has
    seen.

    Raises:
        RowNotFound: there is none.
        Conflict: somebody else was faster, or no active administrator would be left.
    """
    await session.execute(_ONE_AT_A_TIME)
    user = await user_of(session, identity)
    await session.refresh(user)
    was = Standing(Role(user.role), user.is_active)
    if shown not in (None, was):
        raise Conflict(f"Somebody else has changed {user.email} meanwhile.", hint="Load the page again.")
    if was.is_administrator and not to.is_administrator:
        await _require_another_administrator(session, user)
    if to.role is not was.role:
        user.role = to.role.value
        note(session, EventKind.ROLE_CHANGED, by, user.email, role=to.role.value, before=was.role.value)
    if to.is_active is not was.is_active:
        user.is_active = to.is_active
        await _revoke_logins(session, user, None)
        note(session, EventKind.USER_OPENED if to.is_active else EventKind.USER_CLOSED, by, user.email)
    await session.flush()
    return user


async def _require_another_administrator(session: AsyncSession, user: User) -> None:
    others = select(func.count()).where(User.role == Role.ADMIN.value, User.is_active, User.id != user.id)
    if not await session.scalar(others):
        raise Conflict(f"{user.email} is the last active administrator.", hint="Make somebody else one first.")


async def set_password(
    session: AsyncSession, user: User, password: str, by: By = ROWHOUSE, *, kept: UUID | None = None
) -> None:
    """Change the password and end all logins, but for one session that is `kept`.

    Raises:
        InvalidBody: the password is too short.
    """
    user.password_hash = await _hash(password)
    await _revoke_logins(session, user, kept)
    note(session, EventKind.PASSWORD_CHANGED, by, user.email)


async def end_logins(session: AsyncSession, user: User, by: By = ROWHOUSE) -> None:
    """Revoke every login of the user: sessions, refresh tokens, and with them access tokens."""
    await _revoke_logins(session, user, None)
    note(session, EventKind.LOGINS_ENDED, by, user.email)


async def _revoke_logins(session: AsyncSession, user: User, kept: UUID | None) -> None:
    tokens = update(RefreshToken).where(RefreshToken.user_id == user.id, RefreshToken.revoked_at.is_(None))
    sessions = update(Session).where(Session.user_id == user.id, Session.revoked_at.is_(None))
    if kept is not None:
        sessions = sessions.where(Session.id != kept)
    for logins in (tokens, sessions):
        await session.execute(logins.values(revoked_at=func.now()))


async def create_key(session: AsyncSession, name: str, role: Role, days: int | None, by: By = ROWHOUSE) -> NewKey:
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
    note(session, EventKind.KEY_CREATED, by, prefix, name=name, role=role.value, days=days)
    await session.flush()
    return NewKey(key, prefix, kept.id)


async def revoke_key(session: AsyncSession, prefix: str, by: By = ROWHOUSE) -> None:
    """Revoke the key of that prefix.

    Raises:
        RowNotFound: there is none that is not revoked.
    """
    revoked = await session.execute(
        update(ApiKey)
        .where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(ApiKey.name, ApiKey.role)
    )
    key = revoked.first()
    if key is None:
        raise RowNotFound(f"There is no key {prefix} that is not revoked.")
    note(session, EventKind.KEY_REVOKED, by, prefix, name=key.name, role=key.role)


async def grant(
    session: AsyncSession,
    role: Role,
    table: str,
    actions: list[Action],
    row_filter: str | None,
    columns: list[str] | None = None,
    by: By = ROWHOUSE,
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
    note(
        session,
        EventKind.GRANTED,
        by,
        f"{role.value} {table}",
        actions=_names(actions),
        rows=row_filter,
        columns=columns,
    )


async def revoke_grant(session: AsyncSession, role: Role, table: str, actions: list[Action], by: By = ROWHOUSE) -> int:
    """Take actions back. Returns how many were granted."""
    revoked = await session.execute(
        delete(Grant)
        .where(Grant.role == role.value, Grant.table_name == table, Grant.action.in_([item.value for item in actions]))
        .returning(Grant.action)
    )
    taken = sorted(row.action for row in revoked)
    if taken:
        note(session, EventKind.GRANT_REVOKED, by, f"{role.value} {table}", actions=taken)
    return len(taken)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a grant goes: the filter of its rows, and its columns (None: all)."""

    rows: str | None = None
    columns: tuple[str, ...] | None = None


Granted = Mapping[Action, Extent]


async def granted(session: AsyncSession, role: Role, table: str) -> Granted:
    """What a role may do on a table."""
    of_it = select(Grant).where(Grant.role == role.value, Grant.table_name == table)
    return {
        Action(one.action): Extent(one.row_filter, None if one.columns is None else tuple(one.columns))
        for one in await session.scalars(of_it)
    }


async def change_grants(
    session: AsyncSession, role: Role, table: str, shown: Granted, to: Granted, by: By = ROWHOUSE
) -> None:
    """Grant a role on a table what it is to have, and nothing else. `shown` is what whoever asks has seen.

    Raises:
        Conflict: somebody else was faster.
    """
    await session.execute(_ONE_AT_A_TIME)
    was = await granted(session, role, table)
    if was != shown:
        raise Conflict(
            f"Somebody else has changed what a {role.value} may do with {table} meanwhile.", hint="Load the page again."
        )
    if lost := [action for action in was if action not in to]:
        await revoke_grant(session, role, table, lost, by)
    for action, extent in to.items():
        if was.get(action) != extent:
            columns = None if extent.columns is None else list(extent.columns)
            await grant(session, role, table, [action], extent.rows, columns, by)


def _names(actions: Sequence[Action]) -> list[str]:
    return [action.value for action in actions]


def _address(email: str) -> str:
    try:
        return validate_email(email, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise InvalidBody(f"{email!r} is no e-mail address: {error}") from None


async def _hash(password: str) -> str:
    if len(password) < MINIMUM_PASSWORD_LENGTH:
        raise InvalidBody(f"A password needs at least {MINIMUM_PASSWORD_LENGTH} characters.")
    # Argon2 takes tens of milliseconds: not on the event loop of a serving process.
    return await asyncio.to_thread(hash_password, password)
