"""Answers that are kept, so that a repeated request gets them again."""

from datetime import datetime

from sqlalchemy import DateTime, Integer, LargeBinary, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import SystemBase


class IdempotencyKey(SystemBase):
    """The answer to a write. `id` is a hash of principal, method, path and key; the fingerprint is of the request."""

    __tablename__ = "idempotency_keys"

    id: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(Integer)
    headers: Mapped[list[list[str]]] = mapped_column(JSONB)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), index=True, comment="Kept for a day"
    )
