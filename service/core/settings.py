"""Settings, one class a concern, read from the environment and from `.env`."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from service.core.errors import ConfigurationError
from service.core.types import Role

MINIMUM_SECRET_LENGTH = 32
_WELL_KNOWN_SECRETS = frozenset({"change-me", "changeme", "secret", "password", "jwt-secret"})


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class DefaultReturn(StrEnum):
    REPRESENTATION = "representation"
    MINIMAL = "minimal"


class UnfilteredWrites(StrEnum):
    REFUSE = "refuse"
    ALLOW = "allow"


class _Section(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)


def _parted(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _is_postgresql(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql:// (drivers such as +asyncpg are chosen by Rowhouse)")
    try:
        _ = urlsplit(text).port, make_url(text)
    except (ValueError, ArgumentError):
        # What Python says of it would show a part of the password.
        raise ValueError("is no URL; write special characters in the password as %40, %2F, %3A …") from None
    return url


def _is_broker(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        is_known = parts.scheme in ("redis", "rediss", "amqp", "amqps") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_known = False
    if not is_known:
        # What Python says of it would show a part of the password.
        raise ValueError("must be a URL that begins with redis://, rediss://, amqp:// or amqps://") from None
    return url


BrokerUrl = Annotated[SecretStr, AfterValidator(_is_broker)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_is_postgresql)]


class ServerSettings(_Section):
    """Where the service listens, and in which environment it runs."""

    environment: Environment = Field(
        Environment.DEVELOPMENT,
        description="`production` refuses to start with a missing, default or short secret or without a database.",
    )
    host: str = Field("127.0.0.1", description="Address that `rowhouse serve` and `make demo` listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port that `rowhouse serve` and `make demo` listen on.")
    root_path: str = Field("", description="Path prefix under which a proxy publishes the service.")
    forwarded_allow_ips: str = Field(
        "",
        description="Addresses of the proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, parted by "
        "commas. Default: none.",
    )


class DatabaseSettings(_Section):
    """The database, and how the service connects to it."""

    database_url: DatabaseUrl | None = Field(
        None,
        description="PostgreSQL URL of the service's own role. Without one an embedded PostgreSQL is started "
        "(development only).",
    )
    migration_database_url: DatabaseUrl | None = Field(
        None, description="PostgreSQL URL of the owner, for migrations. By default `DATABASE_URL`."
    )
    exposed_schemas: Annotated[tuple[str, ...], NoDecode] = Field(
        ("public",),
        description="Schemas whose tables, views and functions are served, parted by commas. The first is the one of "
        "paths without Accept-Profile.",
    )
    extra_search_path: Annotated[tuple[str, ...], NoDecode] = Field(
        ("public",),
        description="Schemas in which functions and triggers find what they name without one, after the exposed ones, "
        "parted by commas.",
    )
    data_dir: Path = Field(Path("data"), description="Folder of the embedded PostgreSQL and of generated secrets.")
    pool_max_size: int = Field(16, ge=1, description="Most connections of the table plane, per process.")
    pool_timeout: float = Field(5.0, gt=0, description="Seconds to wait for a free connection before a 503.")
    connect_timeout: float = Field(5.0, gt=0, description="Seconds to wait for PostgreSQL to accept a connection.")
    statement_timeout: float = Field(10.0, gt=0, description="Seconds after which PostgreSQL stops a statement.")

    @field_validator("exposed_schemas", "extra_search_path", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _parted(value)

    @field_validator("exposed_schemas")
    @classmethod
    def _are_not_ours(cls, schemas: tuple[str, ...]) -> tuple[str, ...]:
        if not schemas:
            raise ValueError("must name at least one schema")
        if taken := {"rowhouse", "pg_catalog", "information_schema"}.intersection(schemas):
            raise ValueError(f"must not name {', '.join(sorted(taken))}")
        return schemas


class SecuritySettings(_Section):
    """Secrets, tokens, origins and limits."""

    jwt_secret: SecretStr | None = Field(
        None,
        description=f"Key that signs access tokens, at least {MINIMUM_SECRET_LENGTH} characters. In development "
        "one is made and kept in `DATA_DIR`.",
    )
    access_token_seconds: int = Field(900, ge=60, description="Life of an access token.")
    refresh_token_seconds: int = Field(30 * 86400, ge=300, description="Life of a refresh token.")
    session_seconds: int = Field(7 * 86400, ge=300, description="Life of a login to the back-office.")
    session_idle_seconds: int = Field(
        12 * 3600, ge=60, description="Seconds after which such a login ends that is not used."
    )
    anonymous_role: Role | None = Field(
        None, description="Role of a request without a credential: `viewer`, `editor` or `admin`. Default: none."
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins that browsers may call from (CORS), parted by commas. Default: none."
    )
    rate_limit: int = Field(6000, ge=1, description="Requests a minute of one principal from one address.")
    login_rate_limit: int = Field(10, ge=1, description="Failed logins a minute of one account, and of one address.")
    credential_cache_seconds: float = Field(
        1.0, ge=0, description="How long a verified credential or grant is believed before it is read again."
    )

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _parted(value)

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, separator, host = origin.partition("://")
            if scheme not in ("http", "https") or not separator or not host or "/" in host or "*" in host:
                raise ValueError(f"{origin!r} is no origin; write scheme and host, such as https://shiny.example.org")
        return origins


class ApiSettings(_Section):
    """Bounds of what one request may ask for."""

    api_max_rows: int = Field(10_000, ge=1, description='Most rows in one answer; further ones by `rel="next"`.')
    api_max_body_bytes: int = Field(10 * 2**20, ge=1024, description="Largest request body, in bytes.")
    api_max_url_bytes: int = Field(16 * 2**10, ge=256, description="Longest path and query string, in bytes.")
    api_default_return: DefaultReturn = Field(
        DefaultReturn.REPRESENTATION,
        description="What a POST, PATCH or PUT answers that says no `Prefer: return`: `representation` (the rows), or "
        "`minimal` as PostgREST does.",
    )
    api_unfiltered_writes: UnfilteredWrites = Field(
        UnfilteredWrites.REFUSE,
        description="Whether a PATCH or DELETE of a whole table is done (`allow`) or refused (`refuse`).",
    )
    api_aggregates: bool = Field(False, description="Allow aggregates (`sum()`, `count()` …) in `select`.")
    api_tx_override: bool = Field(False, description="Allow `Prefer: tx=rollback`, which does a write and undoes it.")
    api_max_batch: int = Field(100, ge=1, description="Most operations in one batch.")
    api_max_undo: int = Field(10_000, ge=1, description="Most changes that are undone at once.")
    api_max_plan_cost: float | None = Field(
        None, gt=0, description="Highest cost that PostgreSQL may estimate for a read. Default: none."
    )
    api_max_depth: int = Field(8, ge=1, description="Deepest nesting of embedded tables and of `and`/`or`.")


class ExportSettings(_Section):
    """Whole tables in files: CSV, NDJSON, columns, Arrow, Parquet."""

    export_connections: int = Field(4, ge=1, description="Most exports at once, per process; each has a connection.")
    export_timeout: float = Field(
        3600.0, gt=0, description="Seconds after which PostgreSQL stops an export, however slowly it is read."
    )
    export_idle_seconds: float = Field(
        60.0, gt=0, description="Seconds that a client may take nothing of an export before it is cancelled."
    )
    export_dir: Path | None = Field(
        None,
        description="Folder of Parquet files that are read in ranges; one for all processes that share their callers. "
        "By default one of the system's for temporary files.",
    )
    export_file_seconds: float = Field(
        300.0, gt=0, description="Seconds that such a file is kept after it was last read."
    )
    export_disk_bytes: int = Field(10 * 2**30, ge=2**20, description="Most bytes of such files together.")
    export_link_seconds: int = Field(300, ge=1, le=86400, description="Life of a signed link to an export.")


class ImportSettings(_Section):
    """Imports: many rows in one body."""

    import_max_bytes: int = Field(4 * 2**30, ge=1024, description="Largest body of an import, in bytes.")
    import_timeout: float = Field(
        900.0, gt=0, description="Seconds that an import may take, with the time in which its body arrives."
    )
    import_at_once: int = Field(
        2, ge=1, description="Most imports at once, per process: each holds a connection of the table plane."
    )
    import_max_rejected: int = Field(
        1000, ge=1, description="Most rows that `Prefer: max-rejected` lets an import leave out."
    )
    import_max_waiting: int = Field(
        4, ge=1, description="Most imports of one principal that wait for a worker, or run there (`respond-async`)."
    )


class ChangeLogSettings(_Section):
    """What enters the change log, and how long it is kept."""

    tracked_tables: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Tables whose changes are logged, parted by commas: `table`, `schema.table`, `schema.*`; "
        "`table-column` leaves a column out. `rowhouse migrate` sees to it. Default: those that were tracked by hand.",
    )
    change_log_days: int = Field(90, ge=0, description="Days that changes are kept; 0 keeps them for ever.")
    change_log_weeks_ahead: int = Field(
        4, ge=1, le=52, description="Weeks for which the change log has partitions in advance."
    )

    @field_validator("tracked_tables", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _parted(value)


class FeedSettings(_Section):
    """The live feed."""

    feed_poll_seconds: float = Field(
        0.2, ge=0.01, description="How often changes by others than Rowhouse are looked for, while somebody listens."
    )
    feed_heartbeat_seconds: float = Field(15.0, ge=0.1, description="Longest silence of a feed.")
    feed_max_connections: int = Field(50, ge=1, description="Most feeds of one principal, per process.")
    feed_queue: int = Field(
        1000, ge=10, description="Most events that wait for one client; a slower one is told of the gap."
    )
    listen_database_url: DatabaseUrl | None = Field(
        None,
        description="PostgreSQL URL for notifications, where `DATABASE_URL` leads through a pooler that hands "
        "connections around. By default `DATABASE_URL`.",
    )


class JobSettings(_Section):
    """Background jobs, and the workers that run them."""

    jobs_broker_url: BrokerUrl | None = Field(
        None,
        description="Redis (`redis://`) or RabbitMQ (`amqp://`) for the messages that wake workers; nobody else may "
        "use that database or virtual host. By default PostgreSQL carries them.",
    )
    jobs_inside: bool | None = Field(
        None,
        description="Run jobs inside the serving processes. By default only with the embedded PostgreSQL and in the "
        "demo; elsewhere `rowhouse worker` runs them.",
    )
    jobs_at_once: int = Field(8, ge=1, le=100, description="Most jobs that one worker runs at once.")
    jobs_drain_seconds: float = Field(
        20.0, ge=0, description="How long running jobs may go on after a worker was told to stop."
    )
    jobs_keep_days: int = Field(7, ge=2, description="Days that finished jobs are kept.")
    worker_metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port on which `rowhouse worker` serves its metrics. Default: none."
    )


class WebhookSettings(_Section):
    """Webhooks: where they may go, and how often they are tried."""

    webhook_allow_http: bool = Field(False, description="Let webhooks go to `http:` as well, which anybody can read.")
    webhook_allowed_ports: Annotated[tuple[int, ...], NoDecode] = Field(
        (443,), description="Ports that webhooks may go to, parted by commas."
    )
    webhook_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="In-house receivers, which are refused otherwise, parted by commas: `hooks.example.org`, "
        "`*.example.org`, `hooks.example.org:8443`, `10.1.0.0/16`. Default: none.",
    )
    webhook_ca_file: Path | None = Field(
        None, description="Certificates that receivers are believed by, in a PEM file. By default the system's."
    )
    webhook_connect_timeout: float = Field(5.0, gt=0, description="Seconds to wait for a receiver's connection.")
    webhook_timeout: float = Field(15.0, gt=0, description="Seconds that an attempt may take in all.")
    webhook_retry_seconds: Annotated[tuple[float, ...], NoDecode] = Field(
        (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400),
        description="Longest waits before the second attempt and each further one, parted by commas. After the last "
        "the delivery is dead.",
    )
    webhook_disable_after_days: float = Field(
        5.0, gt=0, description="Days of nothing but failures after which a webhook is disabled."
    )
    webhook_secret_overlap_hours: float = Field(
        24.0, ge=0, description="How long the old secret is signed with too, after a new one was made."
    )
    webhook_max_per_principal: int = Field(20, ge=1, description="Most webhooks of one principal.")
    webhook_max_waiting: int = Field(
        10_000,
        ge=1,
        description="Deliveries of one webhook that wait, above which further changes wait in the change log.",
    )
    webhook_concurrency: int = Field(32, ge=1, description="Most attempts at once, per process.")
    webhook_concurrency_each: int = Field(8, ge=1, description="Most attempts at once of one webhook, per process.")
    webhook_poll_seconds: float = Field(
        0.5, ge=0.01, description="How often changes and due deliveries are looked for."
    )
    webhook_retention_days: float = Field(14.0, gt=0, description="Days that finished deliveries are kept.")

    @field_validator("webhook_allowed_ports", "webhook_allowed_hosts", "webhook_retry_seconds", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _parted(value)

    @field_validator("webhook_retry_seconds")
    @classmethod
    def _are_waits(cls, waits: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 <= wait <= 30 * 86400 for wait in waits):
            raise ValueError("must be seconds, 30 days at most")
        return waits


class LogSettings(_Section):
    """What is logged, and how."""

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level that is logged.")
    log_format: LogFormat = Field(LogFormat.JSON, description="`json`, or `text` for people.")
    access_log: bool = Field(True, description="Log a line for each request.")


class DemoSettings(_Section):
    """The first administrator of `make demo`."""

    admin_email: str = Field("admin@example.com", description="Name of the first administrator.")
    admin_password: SecretStr | None = Field(
        None, description="Password of the first administrator. Without one it is made up and printed once."
    )


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
    log: LogSettings
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
            or os.environ.get("POSIT_PRODUCT") == "CONNECT"
            or "KUBERNETES_SERVICE_HOST" in os.environ
        )


SECTIONS: tuple[type[_Section], ...] = (
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
    LogSettings,
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
