"""Webhooks, what is to be delivered to them, and in which order."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import SystemBase


class Webhook(SystemBase):
    """Changes of a table that go to a URL. `life`, `seen`, `until` and `seq` are a position in the change log."""

    __tablename__ = "webhooks"
    __table_args__ = (
        CheckConstraint("state in ('active', 'paused', 'disabled')", name="state"),
        Index("ix_webhooks_owner", "owner_kind", "owner_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    url: Mapped[str] = mapped_column(Text)
    table_name: Mapped[str] = mapped_column(Text)
    filter: Mapped[str] = mapped_column(Text, comment="Query string as of the feed")
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    description: Mapped[str] = mapped_column(Text)
    owner_kind: Mapped[str] = mapped_column(Text)
    owner_id: Mapped[str] = mapped_column(Text)
    owner_name: Mapped[str] = mapped_column(Text)
    owner_role: Mapped[str] = mapped_column(Text, comment="When it was made: with another role it is disabled")
    state: Mapped[str] = mapped_column(Text, server_default="active")
    reason: Mapped[str | None] = mapped_column(Text, comment="Why it is disabled")
    life: Mapped[str] = mapped_column(Text, server_default=text("rowhouse.life()"))
    seen: Mapped[str] = mapped_column(Text, server_default=text("pg_current_snapshot()::text"))
    until: Mapped[str] = mapped_column(Text, server_default=text("pg_current_snapshot()::text"))
    seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    generation: Mapped[int] = mapped_column(Integer, server_default=text("1"), comment="Which secret it has")
    rotated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    failing_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Delivery(SystemBase):
    """One message to one webhook. It waits for earlier ones of its rows, is due, and is delivered or dead."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state in ('waiting', 'pending', 'delivered', 'dead')", name="state"),
        UniqueConstraint("webhook", "message"),
        Index("ix_deliveries_webhook_id", "webhook", "id"),
        Index("ix_deliveries_due", "webhook", "due_at", postgresql_where=text("state = 'pending'")),
        Index("ix_deliveries_open", "state", "created_at", postgresql_where=text("state <> 'delivered'")),
        Index("ix_deliveries_finished_at", "finished_at", postgresql_where=text("finished_at is not null")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    webhook: Mapped[UUID] = mapped_column(ForeignKey(Webhook.id, ondelete="CASCADE"))
    message: Mapped[str] = mapped_column(Text, comment="webhook-id: the same at every attempt")
    type: Mapped[str] = mapped_column(Text)
    keys: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary), comment="Hashes of the keys of the rows concerned")
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    due_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), comment="While a worker has it, when its lease runs out"
    )
    worker: Mapped[str | None] = mapped_column(Text, comment="Who had it last")
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    status: Mapped[int | None] = mapped_column(Integer, comment="HTTP status of the last answer")
    duration_ms: Mapped[int | None] = mapped_column(Integer)
    answer: Mapped[str | None] = mapped_column(Text, comment="First part of the last answer")
    error: Mapped[str | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(
        Text, comment="Where it goes on with the trace of the request that it came from (W3C Trace Context)"
    )
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Lane(SystemBase):
    """An unfinished delivery in the queue of a row: the first in all its queues may go."""

    __tablename__ = "lanes"

    webhook: Mapped[UUID] = mapped_column(ForeignKey(Webhook.id, ondelete="CASCADE"), primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    delivery: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
