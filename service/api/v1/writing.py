"""What all writes share: what is asked of the answer, what the row version must be, how the outcome is told."""

from dataclasses import dataclass

from service.api.v1.conditional import ANY, entity_tag, strong_tags, versions_of
from service.api.v1.exchange import Answer, Request, refuse_paging
from service.api.v1.preferences import Preferences, Return, parse_preferences
from service.auth.policy import Policy
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.core.types import Action
from service.crud.read import Reader
from service.crud.write import Outcome, Writer
from service.db.pool import TablePool
from service.query.parse.cache import QueryCache
from service.query.plan import Bind, BindKind, HasVersion, Predicate, ReadPlan, Written


@dataclass(frozen=True, slots=True)
class WriteTools:
    """What the write handlers work with."""

    pool: TablePool
    policy: Policy
    reader: Reader
    writer: Writer
    queries: QueryCache
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A write as asked for: its filter and selection, its preferences, and what to do besides writing."""

    asked: ReadPlan
    preferences: Preferences
    written: Written

    @classmethod
    def read(
        cls, request: Request, resource: Resource, tools: WriteTools, *, default: Return = Return.REPRESENTATION
    ) -> "WriteRequest":
        """Read the query string and `Prefer`.

        Raises:
            InvalidQuery: as `parse_query`, or for paging, which a write does not have.
        """
        refuse_paging(request, "A write")
        asked = tools.queries.item(tools.policy.visible(request.principal), resource, request.query_string)
        preferences = parse_preferences(request.header(b"prefer"))
        is_answered = _is_answered(
            preferences.answer, default, tools.policy.may(request.principal, resource, Action.READ)
        )
        limit = preferences.max_affected
        written = Written(
            actor=Bind(request.principal.actor),
            request=Bind(request.request_id),
            max_affected=None if limit is None else Bind(str(limit)),
            answer=ReadPlan(resource, asked.select) if is_answered else None,
        )
        return cls(asked, preferences, written)


def _is_answered(preferred: Return | None, default: Return, may_read: bool) -> bool:
    """Unless asked for, rows are shown to those who may read them, and others are not refused for it."""
    if preferred is not None:
        return preferred is Return.REPRESENTATION
    return default is Return.REPRESENTATION and may_read


def version_predicate(request: Request, tools: WriteTools) -> Predicate | None:
    """`If-Match` as a predicate; None where there is none to meet (`*` is met by any row).

    Raises:
        InvalidQuery: the header holds no entity tags; there is an `If-None-Match`.
    """
    if request.header(b"if-none-match") is not None:
        raise InvalidQuery(
            "A PATCH or DELETE takes no If-None-Match.", hint="Send the ETag that you have seen in If-Match."
        )
    header = request.header(b"if-match")
    if header is None:
        return None
    tags = strong_tags(header)
    return None if tags == [ANY] else HasVersion(Bind(versions_of(tags, tools.pool.epoch), BindKind.LIST))


def row_answer(outcome: Outcome, write: WriteRequest, status: int) -> Answer:
    """The answer to a write of one row: the row as an object, its tag."""
    if outcome.body is None:
        answer = Answer(201 if status == 201 else 204)
        if outcome.version is not None:
            answer.add(b"etag", f'"{outcome.version}"')
    elif not (row := outcome.body[1:-1]):  # written, and not the caller's to see
        answer = Answer(204)
    else:
        answer = Answer(status, row)
        if outcome.version is not None:
            is_whole = write.written.answer is not None and write.written.answer.is_whole_row
            answer.add(b"etag", entity_tag(outcome.version, row, is_whole_row=is_whole))
    return _applied(answer, write)


def rows_answer(outcome: Outcome, write: WriteRequest, status: int) -> Answer:
    """The answer to a write of many rows: an array, and how many were written."""
    answer = Answer(201 if status == 201 else 204) if outcome.body is None else Answer(status, outcome.body)
    answer.add(b"content-range", f"0-{outcome.rows - 1}/*" if outcome.rows else "*/*")
    return _applied(answer, write)


def _applied(answer: Answer, write: WriteRequest) -> Answer:
    if applied := write.preferences.applied("return", "max-affected"):
        answer.add(b"preference-applied", applied)
    return answer
