"""The metrics of the webhooks' worker."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.observability.metrics.buckets import ATTEMPT
from service.observability.metrics.seen import Seen

_OUTCOMES = ("delivered", "retry", "dead", "stale")


@dataclass(frozen=True, slots=True)
class WebhookFigures:
    """The deliveries of webhooks as they were last seen."""

    pending: int  # with those that wait for others
    dead: int
    oldest_seconds: float  # age of the oldest pending one


class WebhookMetrics(Seen[WebhookFigures]):
    def __init__(self, registry: CollectorRegistry) -> None:
        name = "rowhouse_webhook"
        super().__init__(
            registry,
            {
                f"{name}_pending": ("Deliveries that are not finished.", lambda seen: seen.pending),
                f"{name}_dead": ("Deliveries that were given up.", lambda seen: seen.dead),
                f"{name}_oldest_pending_seconds": (
                    "Age of the oldest that is not finished.",
                    lambda seen: seen.oldest_seconds,
                ),
            },
        )
        self._attempts = Histogram(
            "rowhouse_webhook_attempt_seconds", "Time that an attempt took.", buckets=ATTEMPT, registry=registry
        )
        deliveries = Counter(
            "rowhouse_webhook_deliveries_total",
            f"Attempts by what came of them: {', '.join(_OUTCOMES)}.",
            ("outcome",),
            registry=registry,
        )
        self._deliveries = {outcome: deliveries.labels(outcome) for outcome in _OUTCOMES}

    def observe(self, outcome: str, seconds: float) -> None:
        self._deliveries[outcome].inc()
        self._attempts.observe(seconds)
