"""API keys, for administrators."""

from datetime import UTC, datetime

from sqlalchemy import select
from starlette.responses import Response

from service.admin.pages.system.sent import role_in, text_in
from service.admin.visit import Visit
from service.core.errors import InvalidBody
from service.core.types import Role
from service.crud import accounts
from service.models.system import ApiKey

_MOST = 500
_LONGEST_DAYS = 3650


async def show(visit: Visit) -> Response:
    """All keys, those that hold first."""
    listed = select(ApiKey).order_by(ApiKey.revoked_at.is_not(None), ApiKey.created_at.desc()).limit(_MOST)
    async with visit.runtime.unit_of_work.begin() as session:
        keys = (await session.scalars(listed)).all()
    return await visit.page("system/keys.html", title="API keys", keys=keys, roles=Role, now=datetime.now(UTC))


async def create(visit: Visit) -> Response:
    """A new key, which is shown this once."""
    name, role = text_in(visit.form, "name").strip(), role_in(visit.form)
    days = text_in(visit.form, "days").strip()
    if days and not (days.isascii() and days.isdigit() and 0 < int(days) <= _LONGEST_DAYS):
        raise InvalidBody(f"A key holds for 1 to {_LONGEST_DAYS} days, or for ever where the field is empty.")
    async with visit.runtime.unit_of_work.begin() as session:
        made = await accounts.create_key(session, name, role, int(days) if days else None, visit.by)
    return await visit.page(
        "system/shown_once.html",
        title=f"Key {made.prefix}",
        message=f"The key {name} was made.",
        what="API key",
        secret=made.key,
        advice="It is sent as X-API-Key, and kept here only as a hash.",
        back=visit.at("-", "keys"),
        back_words="API keys",
    )


async def revoke(visit: Visit) -> Response:
    """End a key."""
    prefix = text_in(visit.form, "prefix")
    async with visit.runtime.unit_of_work.begin() as session:
        await accounts.revoke_key(session, prefix, visit.by)
    return visit.go(visit.at("-", "keys"), f"The key {prefix} was revoked.")
