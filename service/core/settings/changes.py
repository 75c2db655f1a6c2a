"""The change log, and the live feed of it."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from service.core.settings.section import Section, parted
from service.core.settings.urls import DatabaseUrl


class ChangeLogSettings(Section):
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
        return parted(value)


class FeedSettings(Section):
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
