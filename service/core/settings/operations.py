"""What operators watch a service by."""

from enum import StrEnum

from pydantic import Field

from service.core.settings.section import Section


class MetricsSettings(Section):
    """What Prometheus scrapes."""

    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port (on `HOST`) that serves the metrics, so that they need not be public. By default `/metrics` "
        "of the service does.",
    )


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class LogSettings(Section):
    """What is logged, and how."""

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level that is logged.")
    log_format: LogFormat = Field(LogFormat.JSON, description="`json`, or `text` for people.")
    access_log: bool = Field(True, description="Log a line for each request.")
