"""Gunicorn's workers and its log, as Rowhouse is served. `deploy/gunicorn/gunicorn.conf.py` names both."""

import asyncio
import logging
import signal
import sys
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from uvicorn import Config
from uvicorn_worker import UvicornWorker

from service.core.settings import Settings
from service.observability.logging import configure_logging
from service.serving.server import Server, options


class RowhouseWorker(UvicornWorker):  # type: ignore[misc]
    """uvicorn with Rowhouse's options, and its way to stop."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        logging.getLogger("uvicorn.error").propagate = True

    async def _serve(self) -> None:
        app = self.wsgi
        self.config = Config(
            app,
            **options(app.service.settings),
            backlog=self.cfg.backlog,
            limit_max_requests=self.max_requests,
            timeout_notify=self.timeout,
            callback_notify=self.callback_notify,
        )
        server = Server(app, self.config)
        # What Gunicorn sends when it must be quick; UvicornWorker does not stop then.
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.handle_exit, signal.SIGINT, None)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class RowhouseLogger(Logger):  # type: ignore[misc]
    """Gunicorn's own events, among all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        configure_logging(Settings.load())
        self.error_log.handlers.clear()
        self.error_log.propagate = True
