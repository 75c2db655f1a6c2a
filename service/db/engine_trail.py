"""What SQLAlchemy runs, on the trail of the request that it is run for.

By its events: opentelemetry-instrumentation-sqlalchemy refuses SQLAlchemy 2.1, and puts statements whole into spans.
"""

from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext, ExecutionContext

from service.observability.trail import current_trail

_RUNNING = "rowhouse_statement"


def leave_trails(engine: Engine) -> None:
    """From now on. Statements come here with placeholders in place of values."""
    event.listen(engine, "before_cursor_execute", _before)
    event.listen(engine, "after_cursor_execute", _after)
    event.listen(engine, "handle_error", _failed)


def _before(
    _: Connection, cursor: Any, statement: str, parameters: Any, context: ExecutionContext | None, executemany: bool
) -> None:
    trail = current_trail()
    if trail is not None and context is not None:
        running = trail.statement(statement)
        running.__enter__()
        setattr(context, _RUNNING, running)


def _after(
    _: Connection, cursor: Any, statement: str, parameters: Any, context: ExecutionContext | None, executemany: bool
) -> None:
    _leave(context, None)


def _failed(context: ExceptionContext) -> None:
    _leave(context.execution_context, context.original_exception)


def _leave(context: ExecutionContext | None, error: BaseException | None) -> None:
    running: AbstractContextManager[None] | None = getattr(context, _RUNNING, None)
    if running is not None:
        setattr(context, _RUNNING, None)
        running.__exit__(None if error is None else type(error), error, None)
