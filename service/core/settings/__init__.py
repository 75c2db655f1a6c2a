"""Settings, one class a concern, read from the environment and from `.env`."""

from service.core.settings.api import ApiSettings, DefaultReturn, ExportSettings, ImportSettings, UnfilteredWrites
from service.core.settings.changes import ChangeLogSettings, FeedSettings
from service.core.settings.connect import ConnectSettings
from service.core.settings.operations import (
    LogFormat,
    LogSettings,
    MetricsSettings,
    Sampler,
    SentrySettings,
    ServerTiming,
    TracingSettings,
)
from service.core.settings.section import Section
from service.core.settings.security import MINIMUM_SECRET_LENGTH, SecuritySettings
from service.core.settings.server import DatabaseSettings, DemoSettings, Environment, ServerSettings
from service.core.settings.settings import SECTIONS, Settings
from service.core.settings.urls import BrokerUrl, DatabaseUrl
from service.core.settings.work import JobSettings, WebhookSettings

__all__ = [
    "MINIMUM_SECRET_LENGTH",
    "SECTIONS",
    "ApiSettings",
    "BrokerUrl",
    "ChangeLogSettings",
    "ConnectSettings",
    "DatabaseSettings",
    "DatabaseUrl",
    "DefaultReturn",
    "DemoSettings",
    "Environment",
    "ExportSettings",
    "FeedSettings",
    "ImportSettings",
    "JobSettings",
    "LogFormat",
    "LogSettings",
    "MetricsSettings",
    "Sampler",
    "Section",
    "SecuritySettings",
    "SentrySettings",
    "ServerSettings",
    "ServerTiming",
    "Settings",
    "TracingSettings",
    "UnfilteredWrites",
    "WebhookSettings",
]
