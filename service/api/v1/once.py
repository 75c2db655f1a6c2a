"""Requests with an `Idempotency-Key`: done once, however often they are sent."""

from collections.abc import Awaitable, Callable

from service.api.v1.exchange import Answer, Request, replayed
from service.core.errors import InvalidQuery
from service.crud.idempotency import IdempotencyKeys, KeptAnswer
from service.db.pool import TablePool
from service.db.runner import Runner

_LONGEST_KEY = 255
# Headers that make another request of it.
_TELLING = (b"content-type", b"prefer", b"if-match", b"if-none-match", b"accept", b"content-profile", b"accept-profile")


async def serve_once(
    request: Request, pool: TablePool, limit: int, serve: Callable[[Runner], Awaitable[Answer]]
) -> Answer:
    """Serve within a transaction that also keeps the answer; a repeat gets the kept one.

    What was refused is not kept: nothing was done.

    Raises: as `serve`; InvalidQuery for a key that is none; Conflict while the first is being done; InvalidBody where
        the key belongs to another request.
    """
    key = request.header(b"idempotency-key") or ""
    if not key or len(key) > _LONGEST_KEY or not key.isprintable():
        raise InvalidQuery(f"Idempotency-Key must be a text of 1 to {_LONGEST_KEY} characters.")
    if request.principal.is_anonymous:
        raise InvalidQuery("An Idempotency-Key needs a credential: its answers are kept for one caller alone.")
    body = await request.body(limit)
    request.receive = replayed(body)
    async with pool.transaction() as transaction:
        scope = (request.principal.actor, request.method, str(request.scope["path"]), key)
        about = b"\0".join(request.headers.get(name, b"") for name in _TELLING)
        keys = IdempotencyKeys(transaction, scope, (request.query_string, about, body))
        kept = await keys.claim()
        if kept is not None:
            return _repeated(kept)
        answer = await serve(transaction)
        await keys.keep(_kept(answer))
        return answer


def _kept(answer: Answer) -> KeptAnswer:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
    return KeptAnswer(answer.status, [("content-type", answer.content_type.decode()), *headers], answer.body)


def _repeated(kept: KeptAnswer) -> Answer:
    (_, content_type), *rest = kept.headers
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in rest]
    return Answer(
        kept.status, kept.body, [*headers, (b"idempotency-replayed", b"true")], content_type=content_type.encode()
    )
