"""taskiq's broker on RabbitMQ, with an eye on its connection."""

import asyncio

from taskiq_aio_pika import AioPikaBroker, Exchange, Queue


class RabbitMQBroker(AioPikaBroker):
    """Sets `lost` when the connection that it listens on is gone: aio-pika makes it anew by itself, but taskiq_aio_pika
    may not hear on it any more.
    """

    def __init__(self, url: str, name: str, lost: asyncio.Event) -> None:
        super().__init__(
            url,
            exchange=Exchange(name=name),
            task_queues=[Queue(name=name)],
            dead_letter_queue=Queue(name=f"{name}.dead"),
        )
        self._lost = lost

    async def startup(self) -> None:
        await super().startup()
        if self.read_conn is not None:
            self.read_conn.close_callbacks.add(lambda *_: self._lost.set())
