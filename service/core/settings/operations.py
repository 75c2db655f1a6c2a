"""What operators watch a service by."""

from enum import StrEnum

from pydantic import Field, SecretStr, field_validator

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


class Sampler(StrEnum):
    """Which requests are traced (OpenTelemetry specification, SDK environment variables)."""

    ALWAYS_ON = "always_on"
    ALWAYS_OFF = "always_off"
    RATIO = "traceidratio"
    PARENT_ALWAYS_ON = "parentbased_always_on"
    PARENT_ALWAYS_OFF = "parentbased_always_off"
    PARENT_RATIO = "parentbased_traceidratio"


class ServerTiming(StrEnum):
    """Who is told how long the stages of a request took."""

    NOBODY = "nobody"
    ADMINISTRATORS = "administrators"
    EVERYBODY = "everybody"


class LogSettings(Section):
    """What is logged, and how."""

    log_level: str = Field(
        "INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="Least level that is logged; of libraries INFO at least: below it they repeat what they are given.",
    )
    log_format: LogFormat | None = Field(
        None, description="`json`, or `text` for people. Default: `json` in production, `text` in development."
    )
    access_log: bool = Field(True, description="Log a line for each request.")
    access_log_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the requests that went well whose line is logged. What was refused or failed (400 and "
        "above) and what was slow is always logged.",
    )
    access_log_slow_seconds: float = Field(1.0, ge=0, description="A request that takes so long was slow.")


class SentrySettings(Section):
    """Errors that were not foreseen, sent to Sentry."""

    sentry_dsn: SecretStr | None = Field(None, description="Where errors are sent. Default: nowhere.")
    sentry_environment: str | None = Field(
        None, description="Name of the environment there, such as `staging`. Default: `ENVIRONMENT`."
    )
    sentry_sample_rate: float = Field(1.0, ge=0, le=1, description="Share of the errors that is sent.")


class TracingSettings(Section):
    """OpenTelemetry's traces, which need the extra `tracing`; and what a client is told of stages."""

    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="Base URL of a collector that takes OTLP over HTTP, such as `http://collector:4318`. Default: "
        "nothing is traced. What else OpenTelemetry reads from the environment (`OTEL_RESOURCE_ATTRIBUTES`, "
        "`OTEL_BSP_…`, `OTEL_EXPORTER_OTLP_CERTIFICATE` …) holds too.",
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None, description="Headers for the collector, as `name=value`, parted by commas; values percent-encoded."
    )
    otel_service_name: str = Field("rowhouse", min_length=1, description="Name of the service in traces.")
    otel_traces_sampler: Sampler = Field(
        Sampler.PARENT_RATIO,
        description="Which requests are traced. `parentbased_…` follow a caller who has decided; where anybody may "
        "call, `traceidratio` leaves strangers no say.",
    )
    otel_traces_sampler_arg: float = Field(0.01, ge=0, le=1, description="Share that is traced by `…traceidratio`.")
    server_timing: ServerTiming = Field(
        ServerTiming.NOBODY,
        description="Who is told in the header `Server-Timing` how long the stages of a request took: `nobody`, "
        "`administrators` or `everybody`. It tells apart what a network blurs, such as rows that were looked at "
        "and hidden.",
    )

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _is_base(cls, value: str | None) -> str | None:
        return None if value is None else value.rstrip("/")
