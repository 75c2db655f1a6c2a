"""`POST /api/v1/-/undo` and `POST /api/v1/{table}/{key}/-/restore`."""

from dataclasses import dataclass

import orjson

from service.api.v1.body import parse_json
from service.api.v1.exchange import Answer, Request
from service.api.v1.history import HistoryHandlers
from service.api.v1.paths import HistoryPath, UndoPath
from service.core.errors import InvalidBody, InvalidQuery, MethodNotAllowed, RowNotFound
from service.core.settings import ApiSettings
from service.crud.work import Work
from service.events.undo import Selection, Undo
from service.query.plan import Bind, Written
from service.state import Runtime

_SELECTIONS = {"change": Selection.change, "request": Selection.request, "transaction": Selection.transaction}
_MEMBERS = frozenset({*_SELECTIONS, "dry_run"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be taken back, and whether it is only tried."""

    selection: Selection
    is_tried: bool


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
        asked = await self._asked(path, request)
        runtime = self._runtime
        written = Written(actor=Bind(request.principal.actor), request=Bind(request.request_id))
        async with runtime.pool.transaction(keeps=not asked.is_tried) as transaction:
            work = Work.on(transaction, runtime.policy, runtime.statements, self._settings)
            undo = Undo(transaction, work.reader, work.writer, runtime.policy, self._settings.api_max_undo)
            done = await undo.run(asked.selection, request.principal, written)
        return Answer(200, orjson.dumps({"undone": done, "dry_run": asked.is_tried}))

    async def _asked(self, path: UndoPath, request: Request) -> Asked:
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
        is_tried = given.pop("dry_run", False)
        if path.table is not None:
            if given:
                raise InvalidBody("A row is brought back by its key: leave out the rest.")
            return Asked(Selection.change(await self._last_deletion(path, request)), is_tried)
        if len(given) != 1:
            raise InvalidBody("Say what is to be undone: one of change, request and transaction.")
        ((name, value),) = given.items()
        return Asked(_SELECTIONS[name](_checked(name, value)), is_tried)

    async def _last_deletion(self, path: UndoPath, request: Request) -> str:
        """The number of the change that deleted the row.

        Raises:
            RowNotFound: it is in no trash that the caller may see.
        """
        trash = HistoryPath("", path.table, path.key, is_trash=True)
        entries = await self._history.entries(trash, (("limit", "1"),), request.principal)
        if not entries:
            raise RowNotFound("There is no such row in the trash.", hint="…/-/trash lists what was deleted.")
        return str(entries[0].number)


def _checked(name: str, value: object) -> str:
    """The value as text.

    Raises:
        InvalidBody: it is none that can be meant.
    """
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if name == "request":
        if isinstance(value, str) and value and "\x00" not in value:
            return value
    elif text.isascii() and text.isdigit() and int(text[:20]) < 2**63:
        return text
    raise InvalidBody(f"{name!r} is not as a history shows it.")
