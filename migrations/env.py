"""Alembic's environment: both branches, `rowhouse` (our own schema) and `tables` (the declared tables)."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from alembic import context
from alembic.runtime.environment import NameFilterParentNames, NameFilterType
from alembic.runtime.migration import MigrationInfo
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.db.migration_lock import DEFAULT_PATIENCE, prepare
from service.db.migrations import Branch, title
from service.models import SystemBase, TableBase
from service.models.base import SYSTEM_SCHEMA

_ATTRIBUTES = context.config.attributes
_OF_BRANCHES = {Branch.ROWHOUSE: SystemBase.metadata, Branch.TABLES: TableBase.metadata}
_METADATA = [_OF_BRANCHES[branch] for branch in _ATTRIBUTES.get("branches", tuple(Branch))]
_KNOWN = {(table.schema, table.name) for metadata in _METADATA for table in metadata.tables.values()}
_MAKE_SCHEMA = f"create schema if not exists {SYSTEM_SCHEMA}"


def _is_ours(name: str | None, kind: NameFilterType, parents: NameFilterParentNames) -> bool:
    """Leave alone whatever else lives in the database."""
    if kind == "schema":
        return name in (None, SYSTEM_SCHEMA)
    if kind == "table":
        return (parents.get("schema_name"), name) in _KNOWN
    return True


def _tell(*, step: MigrationInfo, **_: object) -> None:
    """Whoever asked for the migrations hears of each."""
    if tell := _ATTRIBUTES.get("applied"):
        tell(str(step.up_revision_id), title(str(step.up_revision_id)))


def _configure(**where: Any) -> None:
    context.configure(
        **where,
        target_metadata=_METADATA,
        include_schemas=True,
        include_name=_is_ours,
        version_table_schema=SYSTEM_SCHEMA,
        transaction_per_migration=True,
        compare_server_default=True,
        on_version_apply=cast(Any, _tell),  # it is called by keywords
    )


def _run(connection: Connection) -> None:
    _configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


def _write_sql() -> None:
    _configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, literal_binds=True)
    with context.begin_transaction():
        if not context.get_context().get_current_heads():
            context.execute(_MAKE_SCHEMA)
        context.run_migrations()


def _url() -> str:
    """The database that we were called for; with Alembic's own command the owner's, from the settings."""
    if given := _ATTRIBUTES.get("url"):
        return str(given)
    settings = Settings.load().database
    configured = settings.migration_database_url or settings.database_url
    if configured is None:
        raise ConfigurationError("Set MIGRATION_DATABASE_URL, or use `rowhouse migrate` for the embedded database.")
    return configured.get_secret_value()


async def _connect() -> None:
    reads_only = _ATTRIBUTES.get("reads_only", False)
    session: Mapping[str, str] = {"default_transaction_read_only": "on"} if reads_only else {}
    engine = create_async_engine(
        make_url(_url()).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        connect_args={"server_settings": session},
    )
    try:
        async with engine.connect() as connection:
            if not reads_only:
                await prepare(connection, _ATTRIBUTES.get("patience", DEFAULT_PATIENCE))
                await connection.execute(text(_MAKE_SCHEMA))
                await connection.commit()
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    _write_sql()
else:
    asyncio.run(_connect())
