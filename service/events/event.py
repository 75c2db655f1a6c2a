"""What a feed sends: changes, and what is to be known of the feed itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import orjson

from service.db.runner import Row
from service.query.compile.feed import Sight


class Kind(StrEnum):
    """Types of events. The first three are changes of the rows that the feed is of."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    ROWS = "rows"
    READY = "ready"
    UP_TO_DATE = "up-to-date"
    GAP = "gap"
    MUST_REFETCH = "must-refetch"
    HEARTBEAT = "heartbeat"
    END = "end"


@dataclass(slots=True)
class Event:
    """One event, encoded once for all clients: `body` is its JSON.

    `id` is the cursor of a client that has it; empty where a client could not go on from there. Of a change, `at` is
    when it was made (ISO 8601), and `keys` are the rows that it is of, as JSON: two where the key has changed.
    """

    id: str
    kind: Kind
    body: bytes
    rows: int = 0
    at: str = ""
    keys: tuple[bytes, ...] = ()
    _frame: bytes | None = field(default=None)
    _text: str | None = field(default=None)

    @classmethod
    def of_feed(cls, kind: Kind, cursor: str, **members: object) -> "Event":
        """An event of the feed itself."""
        return cls(cursor, kind, orjson.dumps({"id": cursor, "type": kind, **members}))

    @property
    def text(self) -> str:
        """As a WebSocket sends it."""
        if self._text is None:
            self._text = self.body.decode()
        return self._text

    @property
    def frame(self) -> bytes:
        """As Server-Sent Events write it (HTML standard, section 9.2)."""
        if self._frame is None:
            name = b"id: %s\n" % self.id.encode() if self.id else b""
            # Between the values of a `json` column there may be line ends, which would end the event.
            line = self.body.replace(b"\r", b" ").replace(b"\n", b" ")
            self._frame = b"%sevent: %s\ndata: %s\n\n" % (name, self.kind.encode(), line)
        return self._frame


def changed(row: Row, tables: Sequence[str], batch: str, epoch: str) -> Event:
    """The event of a change as `compile_feed` returns it, of one of the tables. `batch` begins its cursor.

    Rows that went without being logged must be read again.
    """
    seq, number, at, version, was, now, was_key, now_key, image = (row[place] for place in range(9))
    cursor = f"{batch}.{seq}"
    if was == now == Sight.ABSENT:
        return Event.of_feed(Kind.MUST_REFETCH, cursor, table=tables[number])
    kind, moved = _kind(was, now)
    key = was_key if kind is Kind.DELETE else now_key
    members: dict[str, object] = {"id": cursor, "type": kind, "table": tables[number], "key": orjson.Fragment(key)}
    if moved is not None:
        members["moved"] = moved
    if kind is Kind.UPDATE and was_key != now_key:
        members["old_key"] = orjson.Fragment(was_key)
    if kind is not Kind.DELETE:
        members |= {"row": orjson.Fragment(image), "_etag": f'"{epoch}.{version}"'}
    keys = tuple(dict.fromkeys(one for one in (was_key, now_key) if one is not None))
    return Event(cursor, kind, orjson.dumps(members | {"at": at}), at=at, keys=keys)


def _kind(was: int, now: int) -> tuple[Kind, str | None]:
    """What the change is to one who sees so much of the row, and whether the row moved into or out of the filter.

    A row that leaves what may be seen is deleted, to whoever saw it: that it is still there is not told.
    """
    if now == Sight.WANTED:
        if was == Sight.WANTED:
            return Kind.UPDATE, None
        return Kind.INSERT, "in" if was == Sight.UNWANTED else None
    return Kind.DELETE, "out" if now == Sight.UNWANTED else None
