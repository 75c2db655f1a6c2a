"""What this cluster is, apart from its copies."""

from sqlalchemy import CheckConstraint, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import SystemBase


class Cluster(SystemBase):
    """One row: a random value that row versions carry, so that those of another life never match."""

    __tablename__ = "cluster"
    __table_args__ = (CheckConstraint("is_only", name="is_only"),)

    is_only: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    epoch: Mapped[str] = mapped_column(Text)
