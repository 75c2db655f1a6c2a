"""Webhooks as their owners see and change them: each their own, administrators all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.authenticate import Authenticator
from service.auth.principal import Principal
from service.core.errors import Conflict, Forbidden, RowNotFound
from service.core.settings import WebhookSettings
from service.core.types import Role
from service.db.engine import UnitOfWork
from service.events.event import Kind
from service.models.system import Webhook
from service.subscriptions.feeds import Feeds, owner
from service.subscriptions.message import Secrets
from service.subscriptions.target import Targets

EVENTS = (Kind.INSERT, Kind.UPDATE, Kind.DELETE)
_ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtextextended('rowhouse webhooks of ' || :owner, 0))")


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """What a webhook is made of: `filter` is a query string as of the feed."""

    url: str
    table: str
    filter: str = ""
    events: Sequence[Kind] = field(default=EVENTS)
    description: str = ""


class Subscriptions:
    """Makes, shows, changes and deletes webhooks."""

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        authenticator: Authenticator,
        feeds: Feeds,
        targets: Targets,
        secrets: Secrets,
        settings: WebhookSettings,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._authenticator = authenticator
        self._settings = settings
        self.feeds = feeds
        self.targets = targets
        self.secrets = secrets

    @property
    def overlap(self) -> timedelta:
        """How long the secret before the present one is signed with too."""
        return timedelta(hours=self._settings.webhook_secret_overlap_hours)

    async def create(self, principal: Principal, new: NewWebhook) -> tuple[Webhook, str]:
        """A new webhook, from now on, and its secret.

        Raises:
            Forbidden: the caller has no role, or may not read the table.
            TargetRefused: webhooks may not go there.
            Conflict: the caller has as many as one may have, or the table's changes are not logged.
            InvalidQuery, InvalidBody, TableNotFound: the filter or the table is not as it should be.
        """
        if principal.role is None:
            raise Forbidden("A webhook needs an owner with a role.")
        await self.feeds.check(await self.feeds.make(principal, new.table, new.filter))
        await self.targets.check(new.url)
        async with self._unit_of_work.begin() as session:
            await session.execute(_ONE_AT_A_TIME, {"owner": principal.actor})
            await self._require_room(session, principal)
            webhook = Webhook(
                url=new.url,
                table_name=new.table,
                filter=new.filter,
                events=[event.value for event in new.events],
                description=new.description,
                owner_kind=principal.kind.value,
                owner_id=principal.id,
                owner_name=principal.name,
                owner_role=principal.role.value,
            )
            session.add(webhook)
            await session.flush()
            await session.refresh(webhook)
        return webhook, self.secrets.secret(webhook.id, webhook.generation)

    async def all(self, principal: Principal) -> Sequence[Webhook]:
        """Those of the caller, the oldest first."""
        async with self._unit_of_work.begin() as session:
            return (await session.scalars(_visible(principal).order_by(Webhook.created_at, Webhook.id))).all()

    async def get(self, principal: Principal, identity: UUID) -> Webhook:
        """One of them.

        Raises:
            RowNotFound: there is none, or it is somebody else's.
        """
        async with self._unit_of_work.begin() as session:
            return await _found(session, principal, identity)

    async def change(
        self, principal: Principal, identity: UUID, changes: Mapping[str, Any], *, shown: str | None = None
    ) -> Webhook:
        """Change some of `url`, `filter`, `events`, `description` and `state` (active or paused). `shown` is the state
        that whoever asks has seen.

        Raises:
            RowNotFound: there is none.
            Conflict: it is in another state than was shown, or its owner may not have it any more, so that it cannot be
                active.
            TargetRefused, InvalidQuery, InvalidBody: as for a new one.
        """
        seen = await self.get(principal, identity)
        if "url" in changes:
            await self.targets.check(changes["url"])
        if "filter" in changes or changes.get("state") == "active":
            await self._require_rights(seen, changes.get("filter", seen.filter))
        async with self._unit_of_work.begin() as session:
            webhook = await _found(session, principal, identity, is_changed=True)
            if shown not in (None, webhook.state):
                raise Conflict(f"The webhook is {webhook.state} meanwhile.", hint="Load the page again.")
            for name, value in changes.items():
                setattr(webhook, name, value)
            if "state" in changes:
                webhook.reason = webhook.failing_since = None
        return webhook

    async def delete(self, principal: Principal, identity: UUID) -> None:
        """Delete it, and what was to be delivered.

        Raises:
            RowNotFound: there is none.
        """
        async with self._unit_of_work.begin() as session:
            await session.delete(await _found(session, principal, identity, is_changed=True))

    async def rotate(self, principal: Principal, identity: UUID) -> tuple[Webhook, str]:
        """A new secret. For a while the one before is signed with too.

        Raises:
            RowNotFound: there is none.
        """
        async with self._unit_of_work.begin() as session:
            webhook = await _found(session, principal, identity, is_changed=True)
            webhook.generation += 1
            webhook.rotated_at = await session.scalar(select(func.now()))
        return webhook, self.secrets.secret(webhook.id, webhook.generation)

    async def _require_room(self, session: AsyncSession, principal: Principal) -> None:
        mine = select(func.count()).where(Webhook.owner_kind == principal.kind.value, Webhook.owner_id == principal.id)
        most = self._settings.webhook_max_per_principal
        if (await session.scalar(mine) or 0) >= most:
            raise Conflict(f"You have {most} webhooks, and may not have more.", hint="Delete one that is not needed.")

    async def _require_rights(self, webhook: Webhook, filter_: str) -> None:
        """The owner's, whoever asks."""
        principal = owner(webhook.owner_kind, webhook.owner_id, webhook.owner_name, webhook.owner_role)
        if principal not in await self._authenticator.standing([principal]):
            raise Conflict("The owner's credential does not hold any more.", hint="Make a webhook of your own.")
        await self.feeds.check(await self.feeds.make(principal, webhook.table_name, filter_))


def _visible(principal: Principal) -> Select[Webhook]:
    if principal.role is Role.ADMIN:
        return select(Webhook)
    return select(Webhook).where(Webhook.owner_kind == principal.kind.value, Webhook.owner_id == principal.id)


async def _found(session: AsyncSession, principal: Principal, identity: UUID, *, is_changed: bool = False) -> Webhook:
    statement = _visible(principal).where(Webhook.id == identity)
    webhook = await session.scalar(statement.with_for_update() if is_changed else statement)
    if webhook is None:
        raise RowNotFound("There is no such webhook.")
    return webhook


def owns(principal: Principal, webhook: Webhook) -> bool:
    """Whether it is the caller's own."""
    return (principal.kind.value, principal.id) == (webhook.owner_kind, webhook.owner_id)
