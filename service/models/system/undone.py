"""Which changes were taken back."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import SystemBase


class Undone(SystemBase):
    """A change, and the one that took it back; which may have been taken back itself."""

    __tablename__ = "undone"

    change: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    by: Mapped[int] = mapped_column(BigInteger)
