"""Indexes that a migration makes, or drops, while everybody goes on writing (PostgreSQL manual, CREATE INDEX)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from alembic import op
from sqlalchemy import ColumnElement, text

# Of a run that failed or was killed: it costs every write, and serves no read.
_LEFT_INVALID = """
select format('drop index concurrently %I.%I', n.nspname, c.relname)
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where c.relname = :name and n.nspname = coalesce(:schema, current_schema()) and not i.indisvalid
"""


def create_index_concurrently(
    name: str, table: str, columns: Sequence[str | ColumnElement[Any]], *, schema: str | None = None, **options: Any
) -> None:
    """Make an index as `op.create_index` does. It stands in a migration of its own: what comes before is committed.

    A migration that was ended half way is run again: an index that it left invalid is made anew, a valid one stays.
    """
    with _outside_transactions():
        context = op.get_context()
        if not context.as_sql:
            left = op.get_bind().execute(text(_LEFT_INVALID), {"name": name, "schema": schema}).scalars()
            for statement in left.all():
                op.execute(statement)
        op.create_index(
            name, table, list(columns), schema=schema, if_not_exists=True, postgresql_concurrently=True, **options
        )


def drop_index_concurrently(name: str, *, schema: str | None = None) -> None:
    """Drop an index, if it is there. It stands in a migration of its own as well."""
    with _outside_transactions():
        op.drop_index(name, schema=schema, if_exists=True, postgresql_concurrently=True)


@contextmanager
def _outside_transactions() -> Iterator[None]:
    """It waits for every transaction that is under way, and nobody waits for it: without a bound, therefore."""
    with op.get_context().autocommit_block():
        op.execute("select set_config('rowhouse.lock_timeout', current_setting('lock_timeout'), false)")
        op.execute("set lock_timeout = 0")
        yield
        op.execute("select set_config('lock_timeout', current_setting('rowhouse.lock_timeout'), false)")
