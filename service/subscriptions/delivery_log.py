"""What was delivered, and what is to be delivered again."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from service.core.errors import Conflict, RowNotFound
from service.db.engine import UnitOfWork
from service.models.system import Delivery, Webhook
from service.subscriptions.message import Message

# One replay is one transaction.
MOST_REPLAYED = 10_000
_FINISHED = ("delivered", "dead")


class DeliveryLog:
    """The deliveries of webhooks. Who may see them is told by `Subscriptions.get`."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def page(self, webhook: UUID, state: str | None, before: int | None, limit: int) -> Sequence[Delivery]:
        """Deliveries, the latest first: those before one, or the first ones."""
        statement = select(Delivery).where(Delivery.webhook == webhook)
        if state is not None:
            statement = statement.where(Delivery.state == state)
        if before is not None:
            statement = statement.where(Delivery.id < before)
        async with self._unit_of_work.begin() as session:
            return (await session.scalars(statement.order_by(Delivery.id.desc()).limit(limit))).all()

    async def ping(self, webhook: Webhook) -> Delivery:
        """Have a trial delivered.

        Raises:
            Conflict: the webhook is not active.
        """
        if webhook.state != "active":
            raise Conflict("The webhook is not active.", hint='PATCH {"state": "active"} first.')
        message = Message.of_ping(webhook.id)
        delivery = Delivery(
            webhook=webhook.id, message=message.id, type=message.type, keys=[], body=message.body, state="pending"
        )
        async with self._unit_of_work.begin() as session:
            session.add(delivery)
            await session.flush()
            await session.refresh(delivery)
        return delivery

    async def replay(self, webhook: UUID, delivery: int) -> None:
        """Deliver one again, under the same id.

        Raises:
            RowNotFound: there is none.
            Conflict: it is still under way.
        """
        found = select(Delivery.id).where(Delivery.webhook == webhook, Delivery.id == delivery)
        async with self._unit_of_work.begin() as session:
            if await session.scalar(found) is None:
                raise RowNotFound("There is no such delivery.")
            if not await session.scalar(select(func.rowhouse.replay_deliveries(webhook, [delivery]))):
                raise Conflict("The delivery is still under way.")

    async def replay_all(self, webhook: UUID, since: datetime | None) -> int:
        """Deliver again the dead ones; or, since a moment, all that are finished. Returns how many, of the oldest
        `MOST_REPLAYED`.
        """
        chosen = select(Delivery.id).where(Delivery.webhook == webhook)
        if since is None:
            chosen = chosen.where(Delivery.state == "dead")
        else:
            chosen = chosen.where(Delivery.state.in_(_FINISHED), Delivery.created_at >= since)
        async with self._unit_of_work.begin() as session:
            ids = (await session.scalars(chosen.order_by(Delivery.id).limit(MOST_REPLAYED))).all()
            return await session.scalar(select(func.rowhouse.replay_deliveries(webhook, ids))) or 0
