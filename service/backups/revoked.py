"""What a database that is replaced has taken back: keys, and people who may come in no longer, or may do less."""

from dataclasses import dataclass

from service.core.types import Role
from service.db.connections import Connection

_IS_THERE = "select to_regclass('rowhouse.api_keys') is not null and to_regclass('rowhouse.users') is not null"
_KEYS = "select array(select id from rowhouse.api_keys where revoked_at is not null)"
_PEOPLE = "select array_agg(id), array_agg(role), array_agg(is_active) from rowhouse.users"
_REVOKE = """
update rowhouse.api_keys set revoked_at = coalesce(revoked_at, now()) where id = any($1::uuid[])
"""
_CLOSE = """
update rowhouse.users u set is_active = u.is_active and was.is_active,
    role = case when array_position($4::text[], was.role) < array_position($4, u.role) then was.role else u.role end
from unnest($1::uuid[], $2::text[], $3::boolean[]) was (id, role, is_active) where u.id = was.id
"""


@dataclass(frozen=True, slots=True)
class Revoked:
    """Keys that are revoked, and people as they are: `users`, `roles` and `active` go together."""

    keys: list[object]
    users: list[object]
    roles: list[str]
    active: list[bool]


async def revoked_in(connection: Connection) -> Revoked | None:
    """What holds in a database, if it has people and keys at all."""
    if not await connection.fetchval(_IS_THERE):
        return None
    keys = await connection.fetchval(_KEYS)
    people = (await connection.fetch(_PEOPLE))[0]
    return Revoked(keys, *(column or [] for column in people))


async def take_back(connection: Connection, revoked: Revoked | None) -> None:
    """Let nobody do more in a database than they might in the other. Nothing is given."""
    if revoked is None or not await connection.fetchval(_IS_THERE):
        return
    await connection.execute(_REVOKE, revoked.keys)
    await connection.execute(_CLOSE, revoked.users, revoked.roles, revoked.active, [role.value for role in Role])
