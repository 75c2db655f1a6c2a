"""Which requests, jobs and deliveries are traced, and whereto. Without a collector none is, and nothing is loaded."""

import asyncio
from importlib.util import find_spec
from random import random
from typing import TYPE_CHECKING

from service import __version__
from service.core.errors import ConfigurationError
from service.core.settings import Sampler, Settings
from service.observability.trace_context import TraceContext
from service.observability.trail import Export, Trail

if TYPE_CHECKING:
    from service.observability.otlp import OtlpExport


class Tracing:
    """Begins trails. Until it is started, and without a collector, none is traced."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError: there is a collector, and the packages to reach it are not installed."""
        self._settings = settings.tracing
        self._environment = settings.sentry.sentry_environment or settings.server.environment.value
        self._export: OtlpExport | None = None
        sampler = self._settings.otel_traces_sampler
        self._follows = sampler.startswith("parentbased_")
        self._share = {
            Sampler.ALWAYS_ON: 1.0,
            Sampler.PARENT_ALWAYS_ON: 1.0,
            Sampler.ALWAYS_OFF: 0.0,
            Sampler.PARENT_ALWAYS_OFF: 0.0,
        }.get(sampler, self._settings.otel_traces_sampler_arg)
        if self.is_wanted and not _is_installed():
            raise ConfigurationError(
                "OTEL_EXPORTER_OTLP_ENDPOINT needs packages that are not installed: pip install 'rowhouse[tracing]'."
            )

    @property
    def is_wanted(self) -> bool:
        return self._settings.otel_exporter_otlp_endpoint is not None

    def start(self) -> None:
        """Load what exports. In each process anew: threads do not outlive a fork."""
        if self.is_wanted:
            from service.observability.otlp import OtlpExport

            self._export = OtlpExport(self._settings, __version__, self._environment)

    async def stop(self) -> None:
        """Send what is left, within a few seconds."""
        if self._export is not None:
            export, self._export = self._export, None
            await asyncio.to_thread(export.stop)

    def begin(self, parent: TraceContext | None) -> Trail | None:
        """The trail of something that came with a `traceparent` or without; None where it is not traced."""
        if self._export is None or not self._samples(parent):
            return None
        return _trail(parent, self._export)

    def follow(self, traceparent: str | None) -> Trail | None:
        """The trail of what a request has left to be done later: traced where the request was."""
        parent = None if traceparent is None else TraceContext.read(traceparent)
        if self._export is None or parent is None or not parent.is_sampled:
            return None
        return _trail(parent, self._export)

    def _samples(self, parent: TraceContext | None) -> bool:
        if parent is not None and self._follows:
            return parent.is_sampled
        return self._share == 1 or random() < self._share  # noqa: S311 (no secret)


def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # nor what it is a part of
        return False


def _trail(parent: TraceContext | None, export: Export) -> Trail:
    if parent is None:
        return Trail(TraceContext.new(), None, export)
    step = parent.next()
    return Trail(TraceContext(step.trace_id, step.span_id, is_sampled=True), parent, export)
