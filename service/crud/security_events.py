"""The log of security events, for those who look through it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models.system import SecurityEvent


@dataclass(frozen=True, slots=True)
class Sought:
    """Which events; what is None or empty is not asked for. `before` is the number of the last one of a page."""

    kinds: Sequence[str] = ()
    actor: str | None = None
    subject: str | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


async def events(session: AsyncSession, sought: Sought, limit: int) -> Sequence[SecurityEvent]:
    """Events, the latest first."""
    found = select(SecurityEvent)
    if sought.kinds:
        found = found.where(SecurityEvent.kind.in_(sought.kinds))
    for column, value in (
        (SecurityEvent.actor, sought.actor),
        (SecurityEvent.subject, sought.subject),
        (SecurityEvent.address, sought.address),
    ):
        if value:
            found = found.where(column == value)
    if sought.since is not None:
        found = found.where(SecurityEvent.at >= sought.since)
    if sought.until is not None:
        found = found.where(SecurityEvent.at < sought.until)
    if sought.before is not None:
        found = found.where(SecurityEvent.id < sought.before)
    return (await session.scalars(found.order_by(SecurityEvent.id.desc()).limit(limit))).all()
