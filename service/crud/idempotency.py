"""Answers kept under an idempotency key, in the same transaction as the write that they tell of.

The field is an IETF draft (draft-ietf-httpapi-idempotency-key-header): a repeat gets the first answer.
"""

import hashlib
from dataclasses import dataclass

import orjson

from service.core.errors import Conflict, InvalidBody
from service.db.runner import Runner

# Locks of ours in the one space of advisory locks that all of the database shares.
_LOCK = "select pg_try_advisory_xact_lock(hashtextextended('rowhouse:' || encode($1::bytea, 'hex'), 0))"
_FIND = """
select fingerprint, status, headers::json, body from rowhouse.idempotency_keys
where id = $1 and created_at > now() - interval '1 day'
"""
_KEEP = """
with old as (delete from rowhouse.idempotency_keys where created_at < now() - interval '1 day' and id <> $1)
insert into rowhouse.idempotency_keys (id, fingerprint, status, headers, body) values ($1, $2, $3, $4::json::jsonb, $5)
on conflict (id) do update set fingerprint = excluded.fingerprint, status = excluded.status,
    headers = excluded.headers, body = excluded.body, created_at = now()
"""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """Status, headers and body of an answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | None


class IdempotencyKeys:
    """The kept answers, as seen within the transaction of one request."""

    def __init__(self, runner: Runner, scope: tuple[str, ...], request: tuple[bytes, ...]) -> None:
        """`scope` is whose key it is and for what; `request` all that a repeat must have in common."""
        self._runner = runner
        self._id = hashlib.sha256(orjson.dumps(scope)).digest()
        self._fingerprint = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in request)).digest()

    async def claim(self) -> KeptAnswer | None:
        """The answer to the same request, or None where there was none yet: then it is ours to do.

        Raises:
            Conflict: the same request is being done.
            InvalidBody: another request had the same key.
        """
        lock = await self._runner.write(_LOCK, [self._id])
        if lock is None or not lock[0]:
            raise Conflict("A request with this Idempotency-Key is being done.", code="idempotency_in_flight")
        row = await self._runner.read(_FIND, [self._id])
        if row is None:
            return None
        if row[0] != self._fingerprint:
            raise InvalidBody("This Idempotency-Key belongs to another request.", code="idempotency_mismatch")
        return KeptAnswer(row[1], [(name, value) for name, value in orjson.loads(row[2])], row[3])

    async def keep(self, answer: KeptAnswer) -> None:
        headers = orjson.dumps([list(pair) for pair in answer.headers])
        await self._runner.write(_KEEP, [self._id, self._fingerprint, answer.status, headers, answer.body])
