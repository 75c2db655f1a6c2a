"""`POST /api/v1/-/undo` and `POST /api/v1/{table}/{key}/-/restore`."""

import orjson

from service.api.v1.body import parse_json
from service.api.v1.exchange import Answer, Request
from service.api.v1.history import HistoryHandlers, parse_history
from service.api.v1.paths import HistoryPath, UndoPath, key_predicate, key_values
from service.catalog.resource import DELETED_AT
from service.core.errors import Forbidden, InvalidBody, InvalidQuery, MethodNotAllowed, RowNotFound
from service.core.settings import ApiSettings
from service.crud.work import Work
from service.db.transaction import Transaction
from service.events.history import History
from service.events.undo import Selection, Undo
from service.query.plan import Bind, ReadPlan, Written
from service.query.soft_delete import deleted_row, showing
from service.runtime import Runtime

_SELECTIONS = {"change": Selection.change, "request": Selection.request, "transaction": Selection.transaction}
_MEMBERS = frozenset({*_SELECTIONS, "dry_run"})


class UndoHandlers:
    """Takes changes back in one transaction."""

    def __init__(self, runtime: Runtime, settings: ApiSettings, history: HistoryHandlers) -> None:
        self._runtime = runtime
        self._settings = settings
        self._history = history

    async def serve(self, path: UndoPath, request: Request) -> Answer:
        """What was taken back, a change at a time.

        Raises:
            MethodNotAllowed: it is no POST.
            InvalidBody, InvalidQuery: it does not say what is to be taken back.
            RowNotFound, Conflict, Forbidden, LimitExceeded: as `Undo.run`.
        """
        if request.method == "OPTIONS":
            return Answer(204, headers=[(b"allow", b"POST, OPTIONS")])
        if request.method != "POST":
            raise MethodNotAllowed(f"This does not take {request.method}.", allow="POST, OPTIONS")
        if request.header(b"idempotency-key") is not None:
            raise InvalidQuery("An undo takes no Idempotency-Key: what is undone already is not undone again.")
        given = await self._given(request)
        is_tried = bool(given.pop("dry_run", False))
        done = await self._shown_again(path.table, path.key, request, keeps=not is_tried)
        if not done:
            selection = await self._selection(path, given, request)
            async with self._runtime.pool.transaction(keeps=not is_tried) as transaction:
                done = await self._undo(transaction).run(selection, request.principal, _written(request))
        return Answer(200, orjson.dumps({"undone": done, "dry_run": is_tried}))

    def _work(self, transaction: Transaction) -> Work:
        return Work.on(transaction, self._runtime.policy, self._runtime.statements, self._settings)

    def _undo(self, transaction: Transaction) -> Undo:
        runtime, work = self._runtime, self._work(transaction)
        return Undo(
            transaction,
            work.reader,
            work.writer,
            runtime.policy,
            runtime.hub.log.within(transaction),
            History(transaction, runtime.statements),
            self._settings.api_max_undo,
        )

    async def _shown_again(
        self, table: str | None, key_text: str | None, request: Request, *, keeps: bool
    ) -> list[dict[str, object]]:
        """A row that was hidden is brought back by clearing when it was deleted."""
        if table is None or key_text is None:
            return []
        resource = self._runtime.policy.resource(request.principal, table)
        if not (resource.hides_deleted and DELETED_AT in resource.columns):
            return []
        key = key_values(resource, key_text)
        async with self._runtime.pool.transaction(keeps=keeps) as transaction:
            work = self._work(transaction)
            try:
                await work.reader.item(
                    ReadPlan(resource, where=deleted_row(key_predicate(resource, key))), request.principal
                )
            except RowNotFound:
                return []
            plan = showing(resource, key_predicate(resource, key), _written(request))
            outcome = await work.writer.run(plan, request.principal)
        if not outcome.rows:
            raise Forbidden("This row is not one that you may change.")
        return [
            {"table": resource.name, "key": dict(zip(resource.key, outcome.key or key, strict=True)), "did": "update"}
        ]

    async def _given(self, request: Request) -> dict[str, object]:
        body = await request.body(self._settings.api_max_body_bytes)
        given = parse_json(body) if body else {}
        if (
            not isinstance(given, dict)
            or not given.keys() <= _MEMBERS
            or not isinstance(given.get("dry_run", False), bool)
        ):
            raise InvalidBody(
                "The body is an object with one of change, request and transaction, and perhaps dry_run.",
                hint='Write {"change": 17} or {"request": "…", "dry_run": true}.',
            )
        return given

    async def _selection(self, path: UndoPath, given: dict[str, object], request: Request) -> Selection:
        if path.table is not None:
            if given:
                raise InvalidBody("A row is brought back by its key: leave out the rest.")
            return Selection.change(await self._last_deletion(path, request))
        if len(given) != 1:
            raise InvalidBody("Say what is to be undone: one of change, request and transaction.")
        ((name, value),) = given.items()
        return _SELECTIONS[name](_checked(name, value))

    async def _last_deletion(self, path: UndoPath, request: Request) -> str:
        """The number of the change that deleted the row.

        Raises:
            RowNotFound: it is in no trash that the caller may see.
        """
        trash = HistoryPath("", path.table, path.key, is_trash=True)
        entries = await self._history.entries(trash, parse_history((), 1), request.principal)
        if not entries:
            raise RowNotFound("There is no such row in the trash.", hint="…/-/trash lists what was deleted.")
        return str(entries[0].number)


def _written(request: Request) -> Written:
    return Written(actor=Bind(request.principal.actor), request=Bind(request.request_id))


def _checked(name: str, value: object) -> str:
    """The value as text.

    Raises:
        InvalidBody: it is none that can be meant.
    """
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if name == "request":
        if isinstance(value, str) and value and "\x00" not in value:
            return value
    elif text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63:
        return text
    raise InvalidBody(f"{name!r} is not as a history shows it.")
