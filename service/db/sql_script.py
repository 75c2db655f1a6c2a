"""A file of SQL as a step of a migration."""

from pathlib import Path
from typing import cast

from alembic import op
from sqlalchemy import AdaptedConnection


def run_script(path: Path) -> None:
    """Run a file as it stands: SQLAlchemy would take its colons for parameters, and runs one statement at a time."""
    script = path.read_text()
    context = op.get_context()
    if context.as_sql:
        context.impl.static_output(script)
        return
    op.execute("select")  # begins the transaction that the script belongs to
    connection = cast("AdaptedConnection", op.get_bind().connection.dbapi_connection)
    connection.run_async(lambda driver: driver.execute(script))
