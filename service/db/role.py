"""Which database role the service works as.

It must own nothing, be no superuser and bypass no row-level security, so that the database can hold it to its grants.
Where the URL names a stronger role, the service gives its rights up at connect time: `role` as a start-up parameter
cannot be undone by `RESET ROLE` (PostgreSQL manual, SET ROLE).
"""

import asyncpg

from service.core.errors import ConfigurationError

SERVICE_ROLE = "rowhouse_service"
_PROBE = """
select me.rolsuper or me.rolbypassrls
       or exists (select 1 from pg_class where relowner = me.oid and relnamespace <> 'pg_catalog'::regnamespace)
           as is_privileged,
       coalesce((select pg_has_role(me.rolname, oid, 'member') and not (rolsuper or rolbypassrls)
                 from pg_roles where rolname = $1), false) as may_step_down
from pg_roles me where rolname = current_user
"""


async def role_to_assume(url: str, connect_timeout: float, *, is_production: bool) -> str | None:
    """The role to give in at connect time, or None where the URL's own role is already harmless.

    Raises:
        ConfigurationError: the role is too strong, and production has no weaker one to step down to.
        OSError, asyncpg.PostgresError: the database cannot be reached.
    """
    connection = await asyncpg.connect(url, timeout=connect_timeout)
    try:
        probe = await connection.fetchrow(_PROBE, SERVICE_ROLE)
    finally:
        await connection.close()
    if probe is None or not probe["is_privileged"]:
        return None
    if probe["may_step_down"]:
        return SERVICE_ROLE
    if is_production:
        raise ConfigurationError(
            "DATABASE_URL names a role that owns tables, is a superuser or bypasses row-level security. "
            f"Run `rowhouse migrate` with MIGRATION_DATABASE_URL, then connect as a member of {SERVICE_ROLE}."
        )
    return None
