"""Composition: the application from its settings."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from types import FrameType

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import __version__
from service.admin.back_office import BackOffice
from service.admin.pages.all import add_pages
from service.admin.pages.import_csv import is_import
from service.api import metrics, probes
from service.api.body_limit import BodyLimit
from service.api.docs import add_docs
from service.api.frame import Frame
from service.api.last_answer import LastAnswer
from service.api.live import add_live
from service.api.openapi import describe_api
from service.api.posit_connect import PositConnect
from service.api.problem import problem
from service.api.v1 import auth, jobs, links, meta, tickets, webhooks
from service.api.v1.paths import PREFIX
from service.api.v1.table_plane import TablePlane
from service.core.errors import ConfigurationError, FieldError, InvalidBody, MethodNotAllowed, RowhouseError
from service.core.settings import Settings
from service.observability.access_log import AccessLog
from service.observability.logging import configure_logging
from service.observability.metrics import Metrics, MetricsServer
from service.observability.sentry import Sentry
from service.state import ServiceState
from service.webhooks.worker import webhook_tasks

_EXPOSED_HEADERS = (
    "Content-Range",
    "ETag",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Server-Timing",
    "X-Request-ID",
)
_ALLOWED_HEADERS = (
    "Authorization",
    "Content-Type",
    "If-Match",
    "If-None-Match",
    "Idempotency-Key",
    "Last-Event-ID",
    "Prefer",
    "Traceparent",
    "X-API-Key",
    "X-Request-ID",
)


class Application(FastAPI):
    """FastAPI for the control plane, and in front of it what every request passes.

    It stands in front rather than among FastAPI's middleware, whose own wrappers the table plane has no use for.

    `is_stopped_by_server`: the server that runs it knows how to let go of it.
    """

    entry: ASGIApp
    is_stopped_by_server = False

    @property
    def service(self) -> ServiceState:
        """What it holds."""
        state: ServiceState = self.state.service
        return state

    def begin_draining(self) -> None:
        """It serves on, but says that it is about to stop: to those who probe it, and on each connection."""
        if not self.service.is_draining:
            self.service.is_draining = True
            self.entry = LastAnswer(self.entry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self.entry(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Without Starlette's outermost, which answers what nobody has foreseen in plain text, before the frame can."""
        outermost = super().build_middleware_stack()
        assert isinstance(outermost, ServerErrorMiddleware)
        return outermost.app

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Where it cannot start for its settings, the server is told so in a sentence, not in Starlette's traceback."""
        failed: list[Message] = []

        async def keep_failure(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                failed.append(message)
            else:
                await send(message)

        try:
            await self.control_plane(scope, receive, keep_failure)
        except ConfigurationError as error:
            await send({"type": "lifespan.startup.failed", "message": error.message})
        except BaseException:
            for message in failed:
                await send(message)
            raise

    async def control_plane(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Mounted applications are found by paths that have the prefix in them, as ASGI wants it.
        prefix = scope.get("root_path", "")
        if prefix and not scope["path"].startswith(f"{prefix}/"):
            scope["path"] = prefix + scope["path"]
        await super().__call__(scope, receive, send)


def create_app(settings: Settings | None = None) -> Application:
    """The application. Nothing is connected, read or started before its lifespan begins.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    settings = settings or Settings.load()
    sentry = Sentry(settings)
    configure_logging(settings, sentry.report if sentry.is_wanted else None)
    state = ServiceState.build(settings, Metrics(__version__), webhook_tasks)
    access_log = AccessLog(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sentry.start()
        # First: it answers while the database is waited for, and a port that is taken leaves nothing started.
        apart = _metrics_apart(state)
        _reload_on_hangup(state)
        await state.start()
        if not app.is_stopped_by_server:
            _drain_on_stop(app)
        # What was made until now stays: the collector need not look at it again and again, for 40 ms each time.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            await state.drain()
            await state.stop()
            if apart is not None:
                apart.stop()
            access_log.flush()
            await sentry.stop()

    app = Application(
        title="Rowhouse",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service = state
    plane = TablePlane(BodyLimit(app.control_plane, settings.api.api_max_body_bytes, is_import), state)
    _add_errors(app)
    _add_routes(app, state)
    add_pages(BackOffice(app, state, plane))
    app.entry = _entry(plane, state, access_log)
    return app


def _metrics_apart(state: ServiceState) -> MetricsServer | None:
    """The metrics on METRICS_PORT, where it is set."""
    port = state.settings.metrics.metrics_port
    if port is None:
        return None
    server = MetricsServer(state.metrics, state.settings.server.host, port)
    server.start()
    return server


def _reload_on_hangup(state: ServiceState) -> None:
    """SIGHUP reads the catalog again, as it does the settings of other servers."""
    # Only the main thread gets signals; elsewhere, as in tests, NOTIFY does the same.
    with suppress(ValueError, RuntimeError, NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, state.reloader.ask)


def _drain_on_stop(app: Application) -> None:
    """The signal to stop sends feeds away first: a server waits for its connections before it ends the lifespan."""
    loop = asyncio.get_running_loop()

    tasks: set[asyncio.Task[None]] = set()  # the loop itself does not keep them

    def drain() -> None:
        app.begin_draining()
        tasks.add(loop.create_task(app.service.drain()))

    def wrap(number: signal.Signals) -> None:
        stop = signal.getsignal(number)
        if not callable(stop):
            return

        def drain_and_stop(received: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(drain)
            stop(received, frame)

        signal.signal(number, drain_and_stop)

    with suppress(ValueError):  # only the main thread gets signals
        wrap(signal.SIGTERM)
        wrap(signal.SIGINT)


def _add_routes(app: FastAPI, state: ServiceState) -> None:
    for router in (auth.router, meta.router, tickets.router, links.router, jobs.router, webhooks.router, probes.router):
        app.include_router(router)
    if state.settings.metrics.metrics_port is None:
        app.include_router(metrics.router)
    add_docs(app)
    add_live(app)
    describe_api(app, state)

    @app.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")


def _entry(plane: TablePlane, state: ServiceState, access_log: AccessLog) -> ASGIApp:
    """The way in, built from its far end."""
    settings = state.settings
    way: ASGIApp = plane
    if settings.security.allowed_origins:
        way = CORSMiddleware(
            way,
            allow_origins=settings.security.allowed_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=_ALLOWED_HEADERS,
            expose_headers=_EXPOSED_HEADERS,
        )
    timing = settings.tracing.server_timing
    way = Frame(way, state.metrics, access_log, state.tracing, timing, settings.server.root_path)
    return PositConnect(way) if settings.connect.is_here else way


def _add_errors(app: FastAPI) -> None:
    """The control plane's errors, as problem documents like all others."""

    def answer(request: Request, error: RowhouseError, status: HTTPStatus | None = None) -> Response:
        status, headers, body = problem(error, request.scope["rowhouse.request_id"], status)
        return Response(body, status.value, headers)

    @app.exception_handler(RowhouseError)
    async def on_domain_error(request: Request, error: RowhouseError) -> Response:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        fields = [FieldError(str(item["loc"][-1]), item["msg"]) for item in error.errors()]
        return answer(request, InvalidBody("The request is not valid.", fields=fields, code="invalid_request"))

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        allow = (error.headers or {}).get("Allow")
        if allow is not None:
            return answer(request, MethodNotAllowed(f"This does not take {request.method}.", allow=allow))
        status = HTTPStatus(error.status_code)
        if status is HTTPStatus.NOT_FOUND and request.url.path.startswith(PREFIX):
            return answer(request, _Http("Invalid path specified in request URL", code="PGRST125"), status)
        return answer(request, _Http(str(error.detail), code=f"http_{error.status_code}"), status)


class _Http(RowhouseError):
    """An error of the framework's own: no such path, or a body that it cannot read."""
