"""The live feed as OpenAPI describes it: once, however many tables there are."""

from typing import Any

from service.api.responses import answer, headers, problems
from service.api.shared_parameters import parameters, query_parameter

JsonObject = dict[str, Any]

TAG = "Changes"
TAG_TEXT = "What happens to rows, as it happens, whoever writes them; and where to go on from after a break."

_OF_ALL = ("feed.snapshot", "feed.cursor", "Last-Event-ID", "feed.wait", "feed.ticket")
_OF_FEEDS = (400, 401, 403, 404, 409, 410, 414, 422, 429, 503)
_CURSOR = "ODZlYjMxNzYgNzg3OjAgNzg4OjA.QoIaTYs84wPN.367689"
_CHANGE: JsonObject = {
    "id": _CURSOR,
    "type": "insert",
    "table": "measurements",
    "key": {"id": 7},
    "row": {"id": 7, "value": 1.5},
    "_etag": '"86eb3176.787"',
    "at": "2026-11-21T11:12:51.616234+00:00",
}
_STREAM = f"""\
retry: 1000

id: {_CURSOR.rpartition(".")[0]}.0
event: ready
data: {{"id":"{_CURSOR.rpartition(".")[0]}.0","type":"ready"}}

id: {_CURSOR}
event: insert
data: {{"id":"{_CURSOR}","type":"insert","table":"measurements","key":{{"id":7}},"row":{{"id":7,"value":1.5}},\
"_etag":"\\"86eb3176.787\\"","at":"2026-11-21T11:12:51.616234+00:00"}}

"""
_TEXT = """\
With `Accept: text/event-stream` the changes come as Server-Sent Events, until the client goes. The same URL by `ws:` or
`wss:` is a WebSocket with one text message an event. Otherwise it is a long poll: what has happened since `cursor`, or
what happens within `wait` seconds; without a `cursor` it answers at once with the one to begin from.

Filters and `select` are those of the table's list. A row that begins to meet the filter comes as an `insert` with
`moved` "in", one that no longer does as a `delete` with `moved` "out". Beside changes there are the events `rows`
(`snapshot=true`), `ready`, `up-to-date` (all that was before has been sent), `gap` (the client was slow: the rest is
read from the log, nothing is missing), `must-refetch` (changes are gone, or rights have changed: read the rows again),
`heartbeat` (WebSocket) and `end`, with a `code` and a `message`.

Every change has an `id`. A client that comes back with it, as `Last-Event-ID` or `cursor`, misses nothing and gets
nothing twice. Browsers cannot send headers with `EventSource` or `WebSocket`: a `ticket` stands for the credential. A
table whose changes are not logged is answered 409 (`not_tracked`).
"""


def feed_paths(example: str) -> JsonObject:
    """The feed of any table, and that of several. `example` is the name of a table."""
    table = {
        "name": "table",
        "in": "path",
        "required": True,
        "description": "Name of a table that you may read.",
        "schema": {"type": "string", "minLength": 1, "examples": [example]},
    }
    tables = query_parameter(
        "tables",
        "The tables, parted by commas. Filters and `select` then bear the name of theirs: "
        f"`{example}.column=eq.value`, `{example}.select=column`.",
        {"type": "string", "minLength": 1, "examples": [example]},
    )
    return {
        "/api/v1/{table}/-/changes": {"get": _operation("follow_table", "Follow a table", [table, _SELECT, _FILTERS])},
        "/api/v1/-/changes": {
            "get": _operation("follow_tables", "Follow several tables", [tables | {"required": True}, _FILTERS])
        },
    }


def feed_parameters() -> JsonObject:
    """What feeds take besides, by the name in `components`."""
    text: JsonObject = {"type": "string"}
    return {
        "feed.cursor": query_parameter(
            "cursor", "Where to go on from: the `id` of an event, or a poll's `cursor`.", text
        ),
        "feed.snapshot": query_parameter(
            "snapshot",
            "Send the rows themselves first, as they are at one moment, and then what happens from there on.",
            {"type": "boolean", "default": False},
        ),
        "feed.wait": query_parameter(
            "wait",
            "Seconds that a long poll waits for something to happen.",
            {"type": "integer", "minimum": 0, "maximum": 60, "default": 20},
        ),
        "feed.ticket": query_parameter("ticket", "A credential of `POST /api/v1/-/tickets`, good once.", text),
        "feed.filters": query_parameter(
            "filters",
            "Filters by the names of their columns: `column=eq.value`, `or=(…)`. All of them must hold.",
            {"type": "object", "additionalProperties": text},
        )
        | {"style": "form", "explode": True},
        "Last-Event-ID": {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "As `cursor`. `EventSource` sends it by itself.",
            "schema": text,
        },
    }


def feed_schemas() -> JsonObject:
    """By the name in `components`."""
    text: JsonObject = {"type": "string"}
    rows = {"type": "array", "items": {"type": "object"}}
    moved = {"enum": ["in", "out"], "description": "The row moved into or out of the filter."}
    return {
        "FeedEvent": {
            "type": "object",
            "description": "A change, or (`rows`) rows as they are before the first change.",
            "required": ["type", "table"],
            "properties": {
                "id": text | {"description": "The cursor of a client that has this event."},
                "type": {"enum": ["insert", "update", "delete", "rows"]},
                "table": text | {"description": "Name of the table."},
                "key": {"type": "object", "description": "The row's key; the whole row where the table has none."},
                "old_key": {"type": "object", "description": "The key before, where an update changed it."},
                "row": {"type": "object", "description": "The row as it is now, by `select`. Not of a `delete`."},
                "_etag": text | {"description": "Version of the row, for `If-Match`."},
                "at": text | {"format": "date-time", "description": "When it was changed."},
                "moved": moved,
                "rows": rows | {"description": "Of `rows` alone."},
            },
        },
        "FeedPage": {
            "type": "object",
            "required": ["events", "cursor"],
            "properties": {
                "events": {"type": "array", "items": {"$ref": "#/components/schemas/FeedEvent"}},
                "cursor": text | {"description": "Send it with the next poll."},
            },
        },
    }


def feed_responses() -> JsonObject:
    """By the name in `components`."""
    page = {"events": [_CHANGE], "cursor": _CURSOR}
    return {
        "Feed": {
            "description": "The changes.",
            "headers": headers(),
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/FeedPage"}, "example": page},
                "text/event-stream": {"schema": {"type": "string"}, "example": _STREAM},
            },
        }
    }


_SELECT: JsonObject = {"$ref": "#/components/parameters/select"}
_FILTERS: JsonObject = {"$ref": "#/components/parameters/feed.filters"}


def _operation(name: str, summary: str, taken: list[JsonObject]) -> JsonObject:
    return {
        "tags": [TAG],
        "operationId": name,
        "summary": summary,
        "description": _TEXT,
        "parameters": [*taken, *parameters(*_OF_ALL)],
        "responses": {"200": answer("Feed")} | problems(*_OF_FEEDS),
    }
