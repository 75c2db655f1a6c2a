"""What all writes share: what is asked of the answer, what the row version must be, how the outcome is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from service.api.v1.conditional import ANY, entity_tag, strong_tags, versions_of
from service.api.v1.exchange import Answer, Request
from service.api.v1.media import PLANS, Accepted, Media, accepted, csv_header
from service.api.v1.preferences import Preferences, Return, parse_preferences
from service.api.v1.read import explain_options, require_one
from service.api.v1.request_settings import of_request, say
from service.api.v1.window import content_range
from service.auth.policy import Policy
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery, NotAcceptable, PreconditionFailed
from service.core.settings import ApiSettings
from service.core.types import Action
from service.crud.read import Reader
from service.crud.write import Outcome, Writer
from service.db.runner import Row, Runner, Unit
from service.query.parse.cache import QueryCache
from service.query.parse.request import Query, decode_parameters
from service.query.plan import Bind, BindKind, HasVersion, Predicate, ReadPlan, WritePlan, Written
from service.query.soft_delete import asks_for_deleted
from service.query.walk import guarded

_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
_OF_WRITES = (Media.JSON, Media.ARRAY, Media.OBJECT, Media.CSV, Media.GEOJSON, *PLANS)
_OF_PAGES = frozenset({"limit", "offset", "cursor"})


@dataclass(frozen=True, slots=True)
class WriteTools:
    """What the write handlers work with."""

    pool: Runner
    policy: Policy
    reader: Reader
    writer: Writer
    queries: QueryCache
    settings: ApiSettings


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A write as asked for: its filter and selection, its preferences, and what to do besides writing.

    `settings` are what triggers may know of the request.
    """

    query: Query
    preferences: Preferences
    form: Accepted
    written: Written
    settings: Mapping[str, str]

    @classmethod
    def read(
        cls,
        request: Request,
        resource: Resource,
        tools: WriteTools,
        *,
        default: Return | None = None,
        is_import: bool = False,
    ) -> "WriteRequest":
        """Read the query string, `Prefer` and `Accept`.

        Raises:
            InvalidQuery: as `parse_query`, or for paging, which a write does not have.
            NotAcceptable: rows cannot be answered in what is accepted.
        """
        _refuse_paging(request)
        settings = tools.settings
        query = tools.queries.page(tools.policy.visible(request.principal), resource, request.query_string)
        preferences = parse_preferences(
            request.header(b"prefer"), may_roll_back=settings.api_tx_override, is_import=is_import
        )
        form = accepted(request.header(b"accept"))
        if form.media not in _OF_WRITES:
            raise NotAcceptable(f"None of these media types are available: {form.media}")
        is_answered = _is_answered(
            preferences.answer,
            default or Return(settings.api_default_return),
            tools.policy.may(request.principal, resource, Action.READ),
        )
        limit = preferences.max_affected
        order = query.plan.order if any(name == "order" for name, _ in query.parameters) else ()
        written = Written(
            actor=Bind(request.principal.actor),
            request=Bind(request.request_id),
            max_affected=None if limit is None else Bind(str(limit)),
            answer=ReadPlan(resource, query.plan.select, order=order) if is_answered else None,
        )
        has_triggers = resource.abilities.runs_code
        known = of_request(request, f"/{resource.table.name}") if has_triggers else _NO_SETTINGS
        return cls(query, preferences, form, written, known)

    @property
    def where(self) -> Predicate | None:
        return self.query.plan.where

    @property
    def with_deleted(self) -> bool:
        """Whether it is about rows too that are deleted softly."""
        return asks_for_deleted(self.where)

    def unit(self) -> Unit | None:
        """The transaction that the write needs, where one statement alone does not do."""
        least = self.preferences.min_affected
        verify = _one_row if self.form.is_object else None if least is None else _at_least(least)
        settings = {**self.settings, **({"timezone": self.preferences.timezone} if self.preferences.timezone else {})}
        keeps = self.preferences.keeps is not False
        if keeps and not settings and verify is None:
            return None
        return Unit(settings=settings, keeps=keeps, verify=verify)


async def explained(plan: WritePlan, request: Request, write: WriteRequest, tools: WriteTools) -> Answer:
    """How PostgreSQL would do a write; where `analyze` is asked for, it does it. Raises: as `explain_options`."""
    options = explain_options(request, write.form)
    body = await tools.writer.explained(plan, request.principal, write.unit(), options)
    return Answer(200, body, content_type=write.form.content_type)


def _refuse_paging(request: Request) -> None:
    """Refuse to write a part of what a filter selects. What an insert writes may be asked for by clients as a page.

    Raises:
        InvalidQuery: PGRST114 for a PUT.
    """
    if not request.query_string:
        return
    names = {name for name, _ in decode_parameters(request.query_string)}
    if "as_of" in names:
        raise InvalidQuery("What was cannot be written.", hint="Leave out as_of.")
    given = _OF_PAGES & names if request.method != "POST" else None
    if given and request.method == "PUT":
        raise InvalidQuery("limit/offset querystring parameters are not allowed for PUT", code="PGRST114")
    if given:
        raise InvalidQuery(
            f"A write takes no {', '.join(sorted(given))}.", hint="Filter by the key of the rows that are meant."
        )


def _one_row(row: Row) -> None:
    """Raise where one object was asked for, and more rows were written or none."""
    require_one(row[1])


def _at_least(least: int) -> Callable[[Row], None]:
    """Raise where fewer rows were written than must be."""

    def verify(row: Row) -> None:
        if row[1] < least:
            raise PreconditionFailed(f"Only {row[1]} of {least} rows could be written, so none was.")

    return verify


def _is_answered(preferred: Return | None, default: Return, may_read: bool) -> bool:
    """Unless asked for, rows are shown to those who may read them, and others are not refused for it."""
    if preferred is not None:
        return preferred is Return.REPRESENTATION
    return default is Return.REPRESENTATION and may_read


def selected(request: Request, resource: Resource, write: WriteRequest, tools: WriteTools) -> Predicate | None:
    """The rows that the filter selects, of those that the caller may read: else a write would tell of the others.

    Raises:
        Forbidden: the caller may read none (PostgreSQL asks for SELECT as well, manual, UPDATE).
    """
    if write.where is None:
        return None
    return guarded(write.where, tools.policy.rows(request.principal, resource, Action.READ))


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
    return say(_applied(answer, write), outcome.said)


def rows_answer(outcome: Outcome, write: WriteRequest, status: int, *, has_range: bool = False) -> Answer:
    """The answer to a write of many rows: an array, and how many were written."""
    if outcome.body is None:
        answer = Answer(201 if status == 201 else 204)
    else:
        body = outcome.body[1:-1] if write.form.is_object else outcome.body
        if write.form.media is Media.CSV and write.written.answer is not None:
            body = csv_header(write.written.answer) + body
        answer = Answer(status, body, content_type=write.form.content_type)
    total = outcome.rows if write.preferences.count is not None else None
    answer.add(b"content-range", content_range(0, outcome.rows if has_range else 0, total))
    return say(_applied(answer, write), outcome.said)


def _applied(answer: Answer, write: WriteRequest) -> Answer:
    known = ("return", "max-affected", "min-affected", "resolution", "missing", "count", "tx", "timezone")
    if applied := write.preferences.applied(*known):
        answer.add(b"preference-applied", applied)
    return answer
