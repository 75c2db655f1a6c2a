"""What the owners of webhooks may see now: asked before anything is collected, and before anything is sent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

import structlog

from service.auth.authenticate import Authenticator
from service.auth.principal import Principal
from service.core.errors import (
    AuthenticationFailed,
    Conflict,
    DatabaseRejected,
    Forbidden,
    InvalidBody,
    InvalidQuery,
    RowhouseError,
    TableNotFound,
)
from service.db.pool import TablePool
from service.db.runner import Row
from service.events.log import Feed
from service.subscriptions.feeds import Feeds, owner

_log = structlog.get_logger()
# Of `rowhouse.webhooks w`, as `Subscription.of` reads them.
SUBSCRIPTION = "w.id, w.table_name, w.filter, w.owner_kind, w.owner_id, w.owner_name, w.owner_role"
UNREADABLE = (InvalidQuery, InvalidBody, DatabaseRejected, Conflict)
_NO_RIGHTS = (AuthenticationFailed, Forbidden, TableNotFound)
_DISABLE = """
update rowhouse.webhooks set state = 'disabled', reason = $2 where id = $1 and state = 'active' returning true
"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a webhook follows, and whose rights decide what of it."""

    webhook: UUID
    table: str
    filter: str
    owner: Principal

    @classmethod
    def of(cls, row: Row) -> "Subscription":
        return cls(row[0], row[1], row[2], owner(row[3], row[4], row[5], row[6]))


class Rights:
    """Makes feeds with the rights of their owners. A webhook whose owner has lost them is disabled."""

    def __init__(self, pool: TablePool, feeds: Feeds, authenticator: Authenticator, believe_for: float) -> None:
        self._pool = pool
        self._feeds = feeds
        self._authenticator = authenticator
        self._believe_for = believe_for
        self._believed: dict[Subscription, tuple[float, Feed]] = {}

    async def standing(self, subscriptions: Collection[Subscription]) -> list[Subscription]:
        """Those whose owner still has the credential and the role.

        Raises:
            RowhouseError: the database cannot be reached.
        """
        standing = await self._authenticator.standing({one.owner for one in subscriptions})
        for one in subscriptions:
            if one.owner not in standing:
                await self.disable(one.webhook, "The owner's credential or role does not hold any more.")
        return [one for one in subscriptions if one.owner in standing]

    async def feed(self, one: Subscription) -> Feed | None:
        """What the owner may see; None where it is nothing any more.

        Raises:
            RowhouseError: it cannot be told now.
        """
        try:
            return await self._feeds.make(one.owner, one.table, one.filter)
        except _NO_RIGHTS:
            await self.disable(one.webhook, "The owner may not read the table any more.")
        except UNREADABLE as error:
            await self.disable(one.webhook, f"The feed cannot be made any more: {error.message}")
        return None

    async def feeds(self, subscriptions: Collection[Subscription]) -> Mapping[UUID, Feed]:
        """What the owners may see, of the webhooks that may be sent something: believed for a moment, as credentials
        and grants are (`CREDENTIAL_CACHE_SECONDS`).

        Raises:
            RowhouseError: the database cannot be reached.
        """
        now = monotonic()
        self._believed = {one: believed for one, believed in self._believed.items() if believed[0] > now}
        if unknown := [one for one in subscriptions if one not in self._believed]:
            for one in await self.standing(unknown):
                await self._ask(one)
        return {one.webhook: self._believed[one][1] for one in subscriptions if one in self._believed}

    async def _ask(self, one: Subscription) -> None:
        try:
            feed = await self.feed(one)
        except RowhouseError as error:  # the others are not to wait for it
            _log.warning("webhook_rights_not_told", webhook=str(one.webhook), reason=error.stable_code)
            return
        if feed is not None:
            self._believed[one] = (monotonic() + self._believe_for, feed)

    async def disable(self, webhook: UUID, reason: str) -> None:
        if await self._pool.write(_DISABLE, (webhook, reason)):
            _log.warning("webhook_disabled", webhook=str(webhook), reason=reason)
