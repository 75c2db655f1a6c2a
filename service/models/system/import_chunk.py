"""Bodies of imports that a worker is to run."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Integer, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import SystemBase


class ImportChunk(SystemBase):
    """A part of a body, as it came."""

    __tablename__ = "import_chunks"

    body: Mapped[UUID] = mapped_column(primary_key=True, comment="Of the job's arguments")
    number: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, comment="Place of the chunk in the body, from 0"
    )
    data: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
