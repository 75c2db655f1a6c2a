"""Alembic's environment: both branches, `rowhouse` (our own schema) and `tables` (the declared tables)."""

import asyncio

from alembic import context
from alembic.runtime.environment import NameFilterParentNames, NameFilterType
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.db.migrations import LOCK_KEY, LOCK_TIMEOUT
from service.models import SystemBase, TableBase
from service.models.base import SYSTEM_SCHEMA

_METADATA = [SystemBase.metadata, TableBase.metadata]
_KNOWN = {(table.schema, table.name) for metadata in _METADATA for table in metadata.tables.values()}


def _is_ours(name: str | None, kind: NameFilterType, parents: NameFilterParentNames) -> bool:
    """Leave alone whatever else lives in the database."""
    if kind == "schema":
        return name in (None, SYSTEM_SCHEMA)
    if kind == "table":
        return (parents.get("schema_name"), name) in _KNOWN
    return True


def _configure(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=_METADATA,
        include_schemas=True,
        include_name=_is_ours,
        version_table_schema=SYSTEM_SCHEMA,
        transaction_per_migration=True,
        compare_server_default=True,
    )


def _migrate(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_lock(:key)"), {"key": LOCK_KEY})
    connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"create schema if not exists {SYSTEM_SCHEMA}"))
    connection.commit()
    _configure(connection)
    with context.begin_transaction():
        context.run_migrations()


def _url() -> str:
    """The database that we were called for; with Alembic's own command the owner's, from the settings."""
    if given := context.config.attributes.get("url"):
        return str(given)
    settings = Settings.load().database
    configured = settings.migration_database_url or settings.database_url
    if configured is None:
        raise ConfigurationError("Set MIGRATION_DATABASE_URL, or use `rowhouse migrate` for the embedded database.")
    return configured.get_secret_value()


async def _run() -> None:
    engine = create_async_engine(make_url(_url()).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


asyncio.run(_run())
