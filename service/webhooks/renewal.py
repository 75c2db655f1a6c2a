"""What was collected under other rights, or by another filter, is read from the log again before it is sent."""

from service.events.log import ChangeLog, Feed
from service.subscriptions.message import Message, event_id
from service.webhooks.queue import Claimed


class Renewal:
    """Tells whether a delivery is still what its owner may see, and what it is instead."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log

    def is_needed(self, one: Claimed, feed: Feed) -> bool:
        """Whether another feed than this one has made the message. A ping, or of a gap, is of none."""
        event = event_id(one.body)
        return event is not None and self._log.cursors.read(event).feed != feed.digest

    async def message(self, one: Claimed, feed: Feed) -> Message | None:
        """The same message, under the same id, of this feed. None where the change is none of it, or out of reach.

        Raises:
            RowhouseError: the log cannot be read.
        """
        seq = int((event_id(one.body) or "").rpartition(".")[2])
        event = await self._log.change(feed, seq)
        if event is None or event.kind not in one.events:
            return None
        made = Message.of_change(one.subscription.webhook, self._log.life, seq, one.subscription.table, event)
        # In another life of the cluster the number is another change's.
        return made if made.id == one.message else None
