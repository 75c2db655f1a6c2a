"""The server, its database, and the demo."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from service.core.settings.section import Section, parted
from service.core.settings.urls import DatabaseUrl


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class ServerSettings(Section):
    """Where the service listens, and in which environment it runs."""

    environment: Environment = Field(
        Environment.DEVELOPMENT,
        description="`production` refuses to start with a missing, default or short secret or without a database.",
    )
    host: str = Field("127.0.0.1", description="Address that `rowhouse serve` and `make demo` listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port that `rowhouse serve` and `make demo` listen on.")
    root_path: str = Field("", description="Path prefix under which a proxy publishes the service.")
    drain_delay_seconds: float | None = Field(
        None,
        ge=0,
        le=300,
        description="Seconds that a service which was told to stop goes on serving while `/readyz` says 503, so that "
        "load balancers notice. Default: 5 in production, otherwise 0.",
    )
    web_concurrency: int = Field(
        1,
        ge=1,
        description="Serving processes that share the database's connections. Gunicorn's configuration starts as many; "
        "without it there, as many as there are processors.",
    )
    forwarded_allow_ips: str = Field(
        "",
        description="Addresses of the proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, parted by "
        "commas. Default: none.",
    )


class DatabaseSettings(Section):
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
        return parted(value)

    @field_validator("exposed_schemas")
    @classmethod
    def _are_not_ours(cls, schemas: tuple[str, ...]) -> tuple[str, ...]:
        if not schemas:
            raise ValueError("must name at least one schema")
        if taken := {"rowhouse", "pg_catalog", "information_schema"}.intersection(schemas):
            raise ValueError(f"must not name {', '.join(sorted(taken))}")
        return schemas


class DemoSettings(Section):
    """The first administrator of `make demo`."""

    admin_email: str = Field("admin@example.com", description="Name of the first administrator.")
    admin_password: SecretStr | None = Field(
        None, description="Password of the first administrator. Without one it is made up and printed once."
    )
