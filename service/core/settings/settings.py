"""All settings together, and what production insists on."""

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from service.core.errors import ConfigurationError
from service.core.settings.api import ApiSettings, ExportSettings, ImportSettings
from service.core.settings.changes import ChangeLogSettings, FeedSettings
from service.core.settings.connect import ConnectSettings
from service.core.settings.operations import LogFormat, LogSettings, MetricsSettings, SentrySettings, TracingSettings
from service.core.settings.section import Section
from service.core.settings.security import MINIMUM_SECRET_LENGTH, SecuritySettings
from service.core.settings.server import DatabaseSettings, DemoSettings, Environment, ServerSettings
from service.core.settings.work import JobSettings, WebhookSettings

_DRAIN_DELAY_SECONDS = 5.0
_WELL_KNOWN_SECRETS = frozenset({"change-me", "changeme", "secret", "password", "jwt-secret"})


class Settings(BaseModel):
    """All settings of one application."""

    model_config = ConfigDict(frozen=True)

    server: ServerSettings
    database: DatabaseSettings
    security: SecuritySettings
    api: ApiSettings
    exports: ExportSettings
    imports: ImportSettings
    change_log: ChangeLogSettings
    feed: FeedSettings
    jobs: JobSettings
    webhooks: WebhookSettings
    connect: ConnectSettings
    log: LogSettings
    metrics: MetricsSettings
    sentry: SentrySettings
    tracing: TracingSettings
    demo: DemoSettings

    @classmethod
    def load(cls, env_file: Path | None = Path(".env")) -> Self:
        """Read the environment and `env_file`.

        Raises:
            ConfigurationError: a value cannot be used, or production lacks what it must have.
        """
        try:
            settings = cls(
                **{name: field.annotation(_env_file=env_file) for name, field in cls.model_fields.items()}  # type: ignore[misc]
            )
        except ValidationError as error:
            raise ConfigurationError(_explain(error)) from None
        if settings.is_production:
            _refuse_unsafe(settings)
        return settings

    @property
    def is_production(self) -> bool:
        """Production by setting, and on hosts that are never a developer's machine."""
        return (
            self.server.environment is Environment.PRODUCTION
            or self.connect.is_here
            or "KUBERNETES_SERVICE_HOST" in os.environ
        )

    @property
    def log_format(self) -> LogFormat:
        """As set, or else for machines in production and for people in development."""
        return self.log.log_format or (LogFormat.JSON if self.is_production else LogFormat.TEXT)

    @property
    def drain_delay(self) -> float:
        """Seconds that it goes on serving after it was told to stop."""
        wanted = self.server.drain_delay_seconds
        return (_DRAIN_DELAY_SECONDS if self.is_production else 0.0) if wanted is None else wanted


SECTIONS: tuple[type[Section], ...] = (
    ServerSettings,
    DatabaseSettings,
    SecuritySettings,
    ApiSettings,
    ExportSettings,
    ImportSettings,
    ChangeLogSettings,
    FeedSettings,
    JobSettings,
    WebhookSettings,
    ConnectSettings,
    LogSettings,
    MetricsSettings,
    SentrySettings,
    TracingSettings,
    DemoSettings,
)


def _refuse_unsafe(settings: Settings) -> None:
    if settings.database.database_url is None:
        raise ConfigurationError("DATABASE_URL is not set: production never starts an embedded PostgreSQL.")
    if settings.security.jwt_secret is None:
        raise ConfigurationError("JWT_SECRET is not set: production never makes up a secret.")
    secret = settings.security.jwt_secret.get_secret_value()
    if secret.lower() in _WELL_KNOWN_SECRETS or "change-me" in secret.lower():
        raise ConfigurationError("JWT_SECRET is still the example's value: put a random one in its place.")
    if len(secret) < MINIMUM_SECRET_LENGTH:
        raise ConfigurationError(f"JWT_SECRET is shorter than {MINIMUM_SECRET_LENGTH} characters.")


def _explain(error: ValidationError) -> str:
    """Name each setting at fault; never show its value, which may be a secret."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']).upper()}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_input=False, include_url=False)
    )
