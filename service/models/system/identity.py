"""Who may use the service: users, their logins, API keys, grants."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from service.core.types import OF_COLUMNS, Action, Role
from service.models.base import SystemBase


def _one_of(column: str, values: Iterable[Role] | Iterable[Action]) -> str:
    return f"{column} in ({', '.join(repr(value.value) for value in values)})"


class User(SystemBase):
    """A person with a password."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint(_one_of("role", Role), name="role"),
        Index("ix_users_email", func.lower(text("email")), unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    email: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class RefreshToken(SystemBase):
    """One refresh token. All that descend from one login share a family; a replay revokes the family."""

    __tablename__ = "refresh_tokens"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family: Mapped[UUID] = mapped_column(index=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class ApiKey(SystemBase):
    """A key of a service. Only its hash is kept."""

    __tablename__ = "api_keys"
    __table_args__ = (CheckConstraint(_one_of("role", Role), name="role"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    role: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Grant(SystemBase):
    """A role may do an action on the rows of a table that a filter, in the query language, selects: read or set these
    columns of them.
    """

    __tablename__ = "grants"
    __table_args__ = (
        CheckConstraint(_one_of("role", Role), name="role"),
        CheckConstraint(_one_of("action", Action), name="action"),
        CheckConstraint(
            f"columns is null or ({_one_of('action', OF_COLUMNS)} and array_length(columns, 1) > 0)", name="columns"
        ),
        UniqueConstraint("role", "table_name", "action"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    role: Mapped[str] = mapped_column(Text)
    table_name: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    row_filter: Mapped[str | None] = mapped_column(Text, comment="Query string whose filters a row must meet")
    columns: Mapped[list[str] | None] = mapped_column(
        ARRAY(Text), comment="Those that may be read, or set by a body; null for all"
    )
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
