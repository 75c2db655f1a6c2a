"""What is done beside the requests: jobs and webhooks."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from service.core.settings.section import Section, parted
from service.core.settings.urls import BrokerUrl


class JobSettings(Section):
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


class WebhookSettings(Section):
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
        return parted(value)

    @field_validator("webhook_retry_seconds")
    @classmethod
    def _are_waits(cls, waits: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 <= wait <= 30 * 86400 for wait in waits):
            raise ValueError("must be seconds, 30 days at most")
        return waits
