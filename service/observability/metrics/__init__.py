"""Prometheus metrics, under the names of prometheus-fastapi-instrumentator where it has one; decision 27."""

from service.observability.metrics.application import Metrics
from service.observability.metrics.auth import AuthMetrics
from service.observability.metrics.change_log import LogFigures
from service.observability.metrics.database import DatabaseMetrics, DatabaseSeen
from service.observability.metrics.exports import ExportMetrics
from service.observability.metrics.feed import FeedMetrics
from service.observability.metrics.jobs import JobMetrics
from service.observability.metrics.requests import BOUNDS, Counted
from service.observability.metrics.sampling import Sampler
from service.observability.metrics.scrape import MetricsServer, scraped
from service.observability.metrics.statements import Kind, OnStatement
from service.observability.metrics.webhooks import WebhookFigures, WebhookMetrics

__all__ = [
    "BOUNDS",
    "AuthMetrics",
    "Counted",
    "DatabaseMetrics",
    "DatabaseSeen",
    "ExportMetrics",
    "FeedMetrics",
    "JobMetrics",
    "Kind",
    "LogFigures",
    "Metrics",
    "MetricsServer",
    "OnStatement",
    "Sampler",
    "WebhookFigures",
    "WebhookMetrics",
    "scraped",
]
