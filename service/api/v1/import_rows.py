"""POST of many rows to a table: CSV, NDJSON, Arrow or Parquet, streamed into COPY."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from dataclasses import replace
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import TypeVar

import orjson
from starlette.types import Receive

from service.api.v1.exchange import Answer, Request
from service.api.v1.media import PLANS
from service.api.v1.paths import PREFIX
from service.api.v1.preferences import Return
from service.api.v1.read import require_one
from service.api.v1.window import content_range
from service.api.v1.writing import WriteRequest, WriteTools, rows_answer
from service.catalog.resource import Resource
from service.core.errors import InvalidBody, InvalidQuery, MethodNotAllowed, NotAcceptable, UnsupportedMediaType
from service.core.settings import DefaultReturn, ImportSettings
from service.core.slots import Slots
from service.core.types import Action
from service.crud.write import Outcome
from service.imports.importer import Caller, Importer
from service.imports.open import open_rows
from service.imports.order import Format, Imported, Order
from service.imports.rows import Rejections
from service.jobs.imports import Bodies
from service.query.plan import OnConflict

FORMATS = {
    b"text/csv": Format.CSV,
    b"application/x-ndjson": Format.NDJSON,
    b"application/ndjson": Format.NDJSON,
    b"application/jsonl": Format.NDJSON,
    b"application/vnd.apache.arrow.stream": Format.ARROW,
    b"application/vnd.apache.parquet": Format.PARQUET,
}
_APPLIED = (
    "return",
    "max-affected",
    "resolution",
    "missing",
    "count",
    "tx",
    "timezone",
    "max-rejected",
    "respond-async",
)
_LONGEST_NULL = 32
T = TypeVar("T")


class ImportHandlers:
    """Imports of any number of rows, all or none, or without those that cannot be written."""

    def __init__(
        self, tools: WriteTools, importer: Importer, slots: Slots, bodies: Bodies, settings: ImportSettings
    ) -> None:
        self._tools = tools
        self._importer = importer
        self._slots = slots
        self._bodies = bodies
        self._settings = settings

    async def insert(self, request: Request, resource: Resource, form: Format) -> Answer:
        """Import the body's rows."""
        request.scope["rowhouse.is_stream"] = True  # it takes as long as its client and its rows do
        write = WriteRequest.read(request, resource, self._tools, default=Return.MINIMAL, is_import=True)
        order = self._order(request, resource, write, form)
        self._require(request, resource, order)
        chunks = request.chunks(self._settings.import_max_bytes)
        if write.preferences.is_async:
            return await self._enqueue(request, resource, write, order, chunks)
        body = _Watched(request.receive, chunks)
        async with self._slots.take():
            imported = await body.unless_gone(self._import(request, resource, write, order, body))
        return _answer(imported, write, self._says_summary(write))

    async def _enqueue(
        self, request: Request, resource: Resource, write: WriteRequest, order: Order, body: AsyncIterator[bytes]
    ) -> Answer:
        """Keep the body, and leave its import to a worker (RFC 7240, section 4.1).

        Raises:
            InvalidQuery: its answer cannot be kept for a repeat, since it is not known yet.
        """
        if request.header(b"idempotency-key") is not None:
            raise InvalidQuery("A job is not done once by its Idempotency-Key: leave it out, or respond-async.")
        async with self._slots.take():
            job_id = await self._bodies.enqueue(request.principal, request.request_id, resource.name, order, body)
        answer = Answer(202, orjson.dumps({"id": str(job_id)}))
        answer.add(b"location", f"{request.prefix}{PREFIX}-/jobs/{job_id}")
        answer.add(b"preference-applied", write.preferences.applied(*_APPLIED, "respond-async"))
        return answer

    async def _import(
        self, request: Request, resource: Resource, write: WriteRequest, order: Order, body: "_Watched"
    ) -> Imported:
        rejections = Rejections(order.max_rejected)
        is_answered = write.written.answer is not None and order.max_rejected is None
        caller = Caller(
            request.principal,
            write.written if is_answered else replace(write.written, answer=None),
            write.form.of_writes if is_answered else None,
            self._tools.settings.api_max_rows,
        )
        async with (
            open_rows(order, resource, body.chunks(), rejections) as rows,
            self._tools.pool.together(keeps=order.keeps) as transaction,
        ):
            imported = await self._importer.run(transaction, resource, order, rows, rejections, caller)
            if write.form.is_object and is_answered:
                require_one(imported.written)
            return imported

    def _order(self, request: Request, resource: Resource, write: WriteRequest, form: Format) -> Order:
        """What is asked for.

        Raises:
            InvalidQuery: a filter; more rows to leave out than may be.
            UnsupportedMediaType: the body is said to be packed, or in another charset than UTF-8.
            NotAcceptable: a plan, which an import has none of.
        """
        if write.where is not None:
            raise InvalidQuery("An insert takes no filter.", hint="PATCH changes the rows that a filter selects.")
        if write.form.media in PLANS:
            raise NotAcceptable("The plan of an import cannot be shown.", hint="Send a row of it as JSON.")
        preferences, query = write.preferences, write.query
        most = preferences.max_rejected
        if most is not None and most > self._settings.import_max_rejected:
            raise InvalidQuery(f"`max-rejected` is at most {self._settings.import_max_rejected}.", code="PGRST122")
        has_conflicts = bool(query.on_conflict or resource.key)
        return Order(
            format=form,
            columns=query.columns,
            on_conflict=(preferences.resolution or OnConflict.FAIL) if has_conflicts else OnConflict.FAIL,
            conflict=query.on_conflict or (),
            replaces=preferences.replaces,
            fills_missing=preferences.fills_missing,
            max_rejected=most,
            max_affected=preferences.max_affected,
            keeps=preferences.keeps is not False,
            null=_null(request),
            settings={**write.settings, **({"timezone": preferences.timezone} if preferences.timezone else {})},
        )

    def _require(self, request: Request, resource: Resource, order: Order) -> None:
        """What is refused before anything of the body is read."""
        policy, principal, able = self._tools.policy, request.principal, resource.abilities
        policy.rows(principal, resource, Action.CREATE)
        if order.on_conflict is OnConflict.REPLACE:
            policy.rows(principal, resource, Action.UPDATE)
        if order.replaces:
            policy.rows(principal, resource, Action.DELETE)
        if not able.can_insert or (order.replaces and not able.can_delete):
            verb = "delete" if able.can_insert else "insert"
            raise MethodNotAllowed(f"PostgreSQL cannot {verb} rows of this view.", allow="GET, HEAD, OPTIONS")

    def _says_summary(self, write: WriteRequest) -> bool:
        """Whether the answer says how many rows were written; it always does where some may be left out."""
        if write.preferences.max_rejected is not None:
            return True
        if write.preferences.answer is not None:
            return False
        return self._tools.settings.api_default_return is DefaultReturn.REPRESENTATION


class _Watched:
    """A body, and whether its sender is still there once it has come: work for nobody is given up."""

    def __init__(self, receive: Receive, chunks: AsyncIterator[bytes]) -> None:
        self._receive = receive
        self._chunks = chunks
        self._has_come = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            yield chunk
        self._has_come.set()

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """What the work returns.

        Raises: what it does; InvalidBody where the sender has gone before it was done.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and leaving.result():
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working
                raise InvalidBody("The sender has gone; nothing was written.", code="sender_gone")
            return await working
        finally:
            working.cancel()
            leaving.cancel()
            await asyncio.wait({working, leaving})

    async def _gone(self) -> bool:
        """True once the sender is gone; False where nobody can tell."""
        await self._has_come.wait()
        return bool((await self._receive())["type"] == "http.disconnect")


def import_format(request: Request) -> Format | None:
    """What the body is written in, where it is an import."""
    return FORMATS.get(request.media_type)


def _null(request: Request) -> str | None:
    """What stands for no value in CSV, where the media type says so.

    Raises:
        UnsupportedMediaType: it says what cannot be read.
    """
    if request.headers.get(b"content-encoding", b"identity").strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaType("The body must not be packed.", hint="Leave out Content-Encoding.")
    message = Message()
    message["content-type"] = request.headers.get(b"content-type", b"").decode("utf-8", "replace")
    given = {name.lower(): collapse_rfc2231_value(value) for name, value in (message.get_params() or [])[1:]}
    if given.get("charset", "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType("The body must be UTF-8.")
    if given.get("header", "present").lower() != "present":
        raise UnsupportedMediaType("CSV must begin with a line of the columns' names.")
    null = given.get("null")
    if null is not None and (len(null) > _LONGEST_NULL or not null.isprintable() or set(null) & set(',"')):
        raise UnsupportedMediaType("What stands for NULL is a short text without commas and quotes.")
    return null


def _answer(imported: Imported, write: WriteRequest, says_summary: bool) -> Answer:
    is_replaced = write.preferences.resolution is OnConflict.REPLACE and imported.written and not imported.inserted
    status = 200 if is_replaced else 201
    if imported.body is not None:
        return rows_answer(Outcome(imported.body, imported.written, None, None, not is_replaced), write, status)
    answer = (
        Answer(status, orjson.dumps(imported.summary())) if says_summary else Answer(status if status == 201 else 204)
    )
    total = imported.written if write.preferences.count is not None else None
    answer.add(b"content-range", content_range(0, 0, total))
    if applied := write.preferences.applied(*_APPLIED):
        answer.add(b"preference-applied", applied)
    return answer
