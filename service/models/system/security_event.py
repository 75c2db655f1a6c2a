"""What concerns security: who came in or failed to, and who changed what others may do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Identity, Index, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import SystemBase


class SecurityEvent(SystemBase):
    """One event. The service may add to them and read them; it can neither change nor delete one."""

    __tablename__ = "security_events"
    __table_args__ = (
        Index("ix_security_events_at", "at"),
        Index("ix_security_events_kind_id", "kind", "id"),
        Index("ix_security_events_actor_id", "actor", "id"),
        Index("ix_security_events_subject_id", "subject", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    kind: Mapped[str] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(Text, comment="Who did it; null where nobody was known")
    subject: Mapped[str | None] = mapped_column(Text, comment="Whom or what it concerns")
    address: Mapped[str | None] = mapped_column(Text, comment="Where the request came from")
    details: Mapped[Mapping[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
