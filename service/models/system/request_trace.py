"""The traces that writing requests were part of, for what is made of the change log."""

from datetime import datetime

from sqlalchemy import DateTime, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import SystemBase


class RequestTrace(SystemBase):
    """One request that was traced, and wrote or tried to. The change log knows requests by the same id."""

    __tablename__ = "request_traces"
    __table_args__ = {"prefixes": ["UNLOGGED"]}  # noqa: RUF012 (SQLAlchemy's own way)

    request: Mapped[str] = mapped_column(Text, primary_key=True)
    traceparent: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)
