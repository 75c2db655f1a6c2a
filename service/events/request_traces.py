"""How a trace gets from a write to what is made of the change log.

The log knows the request that made each change. So the few requests that are traced are written down by their id,
before they write, and whoever makes something of a change may look there. Others cost nothing, and the log has no more
columns.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog

from service.core.errors import RowhouseError
from service.db.pool import TablePool
from service.db.transaction import Transaction
from service.observability.trace_context import TraceContext

_log = structlog.get_logger()
_NOTE = """
insert into rowhouse.request_traces (request, traceparent) values ($1, $2)
on conflict (request) do update set traceparent = excluded.traceparent, at = now() returning 1
"""
_HAND_ON = """
update rowhouse.deliveries d set traceparent = t.traceparent
from unnest($2::text[], $3::bigint[]) m (message, seq)
join rowhouse.changes c using (seq) join rowhouse.request_traces t using (request)
where d.webhook = $1 and d.message = m.message and d.traceparent is null
"""


class RequestTraces:
    """The requests that were traced."""

    def __init__(self, pool: TablePool) -> None:
        self._pool = pool

    async def note(self, request_id: str, step: TraceContext) -> None:
        """Keep where a request stands in its trace. Where that cannot be, its trace just ends with it."""
        try:
            await self._pool.read(_NOTE, (request_id, step.header))
        except RowhouseError as error:
            _log.info("trace_not_kept", reason=error.stable_code)


async def hand_on(transaction: Transaction, webhook: UUID, messages: Sequence[str], numbers: Sequence[int]) -> None:
    """Let deliveries go on with the traces of the requests that made these changes of the log."""
    await transaction.write(_HAND_ON, (webhook, messages, numbers))
