"""Composition: what delivers webhooks, from a running application."""

import os
import socket
from datetime import timedelta

from service.core.background import Background
from service.core.settings import Settings
from service.observability.metrics import Metrics
from service.runtime import Runtime
from service.subscriptions.target import Targets
from service.webhooks.collector import Collector
from service.webhooks.deliverer import Deliverer
from service.webhooks.queue import Queue
from service.webhooks.renewal import Renewal
from service.webhooks.rights import Rights
from service.webhooks.sender import Sender
from service.webhooks.upkeep import WebhookUpkeep

# Beyond the time that an attempt may take, for writing its outcome down.
_LEASE_MARGIN_SECONDS = 5.0


def webhook_tasks(runtime: Runtime, settings: Settings, metrics: Metrics, targets: Targets) -> list[Background]:
    """What delivers webhooks, to be started.

    Raises:
        ConfigurationError: WEBHOOK_CA_FILE cannot be read.
    """
    webhooks = settings.webhooks
    subscriptions = runtime.subscriptions
    queue = Queue(
        runtime.pool,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        lease=timedelta(seconds=webhooks.webhook_timeout + _LEASE_MARGIN_SECONDS),
        overlap=subscriptions.overlap,
        patience=timedelta(days=webhooks.webhook_disable_after_days),
    )
    rights = Rights(
        runtime.pool, subscriptions.feeds, runtime.authenticator, settings.security.credential_cache_seconds
    )
    deliverer = Deliverer(
        queue,
        rights,
        Renewal(runtime.hub.log),
        Sender(targets, webhooks),
        subscriptions.secrets,
        webhooks,
        metrics.webhooks,
        runtime.tracing,
    )
    is_traced = runtime.tracing.is_wanted
    collector = Collector(runtime.pool, runtime.hub.log, rights, webhooks, deliverer.wake, is_traced=is_traced)
    runtime.hub.watchers.append(collector.wake)
    upkeep = WebhookUpkeep(runtime.pool, timedelta(days=webhooks.webhook_retention_days))
    metrics.webhooks.watch(lambda: upkeep.figures)
    return [deliverer, collector, upkeep]
