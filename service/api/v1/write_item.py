"""PATCH, PUT and DELETE of a row."""

from collections.abc import Sequence
from contextlib import suppress

from service.api.v1.body import add_members, read_payload, read_row
from service.api.v1.conditional import ANY, is_version
from service.api.v1.exchange import Answer, Request
from service.api.v1.paths import item_url, key_predicate, key_text, key_values
from service.api.v1.preferences import Return
from service.api.v1.writing import WriteRequest, WriteTools, row_answer, rows_answer, selected, version_predicate
from service.catalog.catalog import unsettable
from service.catalog.resource import DELETED_AT, Resource
from service.core.errors import (
    Conflict,
    FieldError,
    Forbidden,
    InvalidBody,
    InvalidQuery,
    PreconditionFailed,
    RowhouseError,
    RowNotFound,
)
from service.core.types import Action
from service.crud.write import Outcome
from service.query.compile.write import compile_write
from service.query.parse.parameters import decode_parameters, is_reserved
from service.query.plan import (
    Bind,
    BindKind,
    ColumnRef,
    Comparison,
    DeletePlan,
    InsertPlan,
    OnConflict,
    Operator,
    Predicate,
    ReadPlan,
    UpdatePlan,
    WritePlan,
    all_of,
)
from service.query.soft_delete import deleted_row

# What a PUT may have to do. It sets all columns, or is refused before.
_OF_PUT = (Action.CREATE, Action.UPDATE)
_OTHER_KEY = "Payload values do not match URL in primary key column(s)"


class ItemWriteHandlers:
    """Writes of one row, under `If-Match` where the caller says what it has seen."""

    def __init__(self, tools: WriteTools) -> None:
        self._tools = tools

    async def update(self, request: Request, resource: Resource, key: str) -> Answer:
        """Set the columns that the body names."""
        write = WriteRequest.read(request, resource, self._tools)
        where = self._where(request, resource, key, write)
        self._tools.policy.rows(request.principal, resource, Action.UPDATE)
        body, row = await read_row(request, resource, self._tools.settings.api_max_body_bytes, Action.UPDATE)
        if not row:
            raise InvalidBody("The body names no column to change.")
        plan = UpdatePlan(
            resource, tuple(row), Bind(body, BindKind.JSON), where, write.written, with_deleted=write.with_deleted
        )
        return row_answer(await self._run(plan, request, key, write), write, 200)

    async def delete(self, request: Request, resource: Resource, key: str) -> Answer:
        """Delete the row."""
        write = WriteRequest.read(request, resource, self._tools, default=Return.MINIMAL)
        where = self._where(request, resource, key, write)
        outcome = await self._run(
            DeletePlan(resource, where, write.written, with_deleted=write.with_deleted), request, key, write
        )
        answer = row_answer(outcome, write, 200)
        answer.headers = [(name, value) for name, value in answer.headers if name != b"etag"]
        return answer

    async def replace(self, request: Request, resource: Resource, key: str | None) -> Answer:
        """Make the row what the body says, and what it does not name its default; insert it where it is not there.

        With `If-Match` a row that is there in that version is replaced, and none inserted; with `If-None-Match: *`
        the row is inserted, and none replaced. Without a key in the path, the filters name it.
        """
        is_of_table = key is None
        if is_of_table:
            _refuse_other_filters(request, resource)
        write = WriteRequest.read(request, resource, self._tools)
        if key is None:
            values = _filtered_key([predicate for _, predicate in write.query.filters], resource)
            key = key_text(values)
        elif write.where is not None:
            raise InvalidQuery("A PUT takes no filter.")
        else:
            values = key_values(resource, key)
        self._tools.policy.rows(request.principal, resource, Action.UPDATE)
        actions = (Action.UPDATE,) if request.header(b"if-match") is not None else _OF_PUT
        _require_all_columns(resource, actions)
        body, row = await self._replacement(request, resource, write, is_of_table=is_of_table)
        key_columns = _same_key(row, resource, values)
        columns = tuple(key_columns | row)
        bound = Bind(add_members(body, key_columns), BindKind.JSON)
        if request.header(b"if-match") is not None:
            where = all_of(key_predicate(resource, values), version_predicate(request, self._tools))
            plan = UpdatePlan(resource, columns, bound, where, write.written, _left_out(resource, columns))
            return row_answer(await self._run(plan, request, key, write), write, 200)
        is_new_only = _is_new_only(request)
        conflict = OnConflict.IGNORE if is_new_only else OnConflict.REPLACE
        insert = InsertPlan(resource, columns, bound, write.written, conflict, resets_others=True)
        render = write.form.of_writes if is_of_table else compile_write
        outcome = await self._tools.writer.run(insert, request.principal, write.unit(), render=render)
        if not outcome.rows and is_new_only:
            raise PreconditionFailed("A row with this key is there already.")
        if not outcome.rows:
            raise await self._kept(request, resource, values)
        told = rows_answer if is_of_table else row_answer
        answer = told(outcome, write, 201 if outcome.is_new else 200)
        if outcome.is_new and all(name != b"location" for name, _ in answer.headers):  # a trigger may have set it
            answer.add(b"location", item_url(request.prefix, resource, values))
        return answer

    async def _replacement(
        self, request: Request, resource: Resource, write: WriteRequest, *, is_of_table: bool
    ) -> tuple[bytes, dict[str, object]]:
        """The row of the body; of a table's path it may be the one of an array, and have more than is asked for.

        Raises:
            InvalidBody: PGRST115, there are several rows.
        """
        limit = self._tools.settings.api_max_body_bytes
        if not is_of_table:
            return await read_row(request, resource, limit, *_OF_PUT)
        payload = await read_payload(request, resource, write.query.columns, limit, *_OF_PUT)
        if len(payload.rows) != 1:
            raise InvalidBody(_OTHER_KEY, code="PGRST115")
        columns = write.query.columns
        row = {name: value for name, value in payload.rows[0].items() if columns is None or name in columns}
        return payload.body, row

    def _where(self, request: Request, resource: Resource, key: str, write: WriteRequest) -> Predicate | None:
        by_key = key_predicate(resource, key_values(resource, key))
        asked = selected(request, resource, write, self._tools)
        return all_of(by_key, asked, version_predicate(request, self._tools))

    async def _run(self, plan: WritePlan, request: Request, key: str, write: WriteRequest) -> Outcome:
        outcome = await self._tools.writer.run(plan, request.principal, write.unit())
        if not outcome.rows:
            raise await self._missed(request, plan.resource, key)
        return outcome

    async def _kept(self, request: Request, resource: Resource, values: tuple[str, ...]) -> RowhouseError:
        """Why a row that is there was not replaced: it is deleted softly, or not the caller's to write."""
        if (
            resource.hides_deleted
            and DELETED_AT in resource.columns
            and self._tools.policy.may(request.principal, resource, Action.READ)
        ):
            deleted = ReadPlan(resource, where=deleted_row(key_predicate(resource, values)))
            with suppress(RowNotFound):
                await self._tools.reader.item(deleted, request.principal)
                return Conflict(
                    "A row that was deleted has this key.", hint="Bring it back with …/-/restore, or take another key."
                )
        return Forbidden("This row is not one that you may replace.")

    async def _missed(self, request: Request, resource: Resource, key: str) -> RowhouseError:
        """Why no row was written: there is none, it is in another version, or it is not the caller's to write."""
        if not self._tools.policy.may(request.principal, resource, Action.READ):
            return RowNotFound(f"There is no such row in {resource.name!r}, or not in that version.")
        try:
            current = await self._tools.reader.item(_whole(resource, key), request.principal)
        except RowNotFound as error:
            return error
        if_match = request.header(b"if-match")
        if if_match is None or is_version(if_match, current.version):
            return Forbidden("This row is not one that you may write, or does not meet the filter.")
        return PreconditionFailed(
            "The row is no longer what it was when its ETag was read.", current=current.body, version=current.version
        )


def _require_all_columns(resource: Resource, actions: Sequence[Action]) -> None:
    """Raise where the caller may not set every column: what a PUT does not name, it returns to its default."""
    if unsettable(resource, resource.writable(), actions):
        raise Forbidden(
            f"A PUT replaces a whole row, and your role may not set all columns of {resource.name!r}.",
            hint="PATCH sets the columns that it names.",
        )


def _refuse_other_filters(request: Request, resource: Resource) -> None:
    """Raise PGRST105 for plain filters of what is not the key, whether there is such a column or not."""
    for name, _ in decode_parameters(request.query_string):
        is_filter = name in ("and", "or") or (name.isidentifier() and not is_reserved(name))
        if is_filter and name not in resource.key:
            raise _other_filters()


def _other_filters() -> InvalidQuery:
    return InvalidQuery("Filters must include all and only primary key columns with 'eq' operators", code="PGRST105")


def _whole(resource: Resource, key: str) -> ReadPlan:
    return ReadPlan(resource, where=key_predicate(resource, key_values(resource, key)))


def _filtered_key(terms: Sequence[Predicate], resource: Resource) -> tuple[str, ...]:
    """The key that the filters of a PUT name: `eq` for each of its columns, and nothing else.

    Raises:
        InvalidQuery: PGRST105, they are other filters.
    """
    named = {
        term.column.name: str(term.operand.value)
        for term in terms
        if isinstance(term, Comparison)
        and term.operator is Operator.EQ
        and isinstance(term.column, ColumnRef)
        and not term.column.path
        and term.quantifier is None
        and term.operand is not None
    }
    if not resource.key or set(named) != set(resource.key) or len(terms) != len(named):
        raise _other_filters()
    return tuple(named[name] for name in resource.key)


def _is_new_only(request: Request) -> bool:
    """`If-None-Match: *`. Other tags make no sense for a write here, and are refused rather than passed over."""
    header = request.header(b"if-none-match")
    if header is not None and header.strip() != ANY:
        raise InvalidQuery("A PUT takes If-None-Match: * alone.", hint="Send the ETag that you have seen in If-Match.")
    return header is not None


def _left_out(resource: Resource, columns: tuple[str, ...]) -> tuple[str, ...]:
    """What a replacement returns to its default."""
    return tuple(name for name in resource.writable() if name not in columns)


def _same_key(row: dict[str, object], resource: Resource, values: tuple[str, ...]) -> dict[str, str]:
    """The key columns with the values of the URL.

    Raises:
        InvalidBody: the body names another key.
    """
    key = dict(zip(resource.key, values, strict=True))
    if different := [name for name, value in key.items() if name in row and _as_text(row[name]) != value]:
        raise InvalidBody(
            _OTHER_KEY,
            hint="Leave the key out of the body, or write it as in the URL. PATCH can change a key.",
            fields=[FieldError(name, "is not what the URL says") for name in different],
            code="PGRST115",
        )
    return key


def _as_text(value: object) -> str:
    """A JSON value as a URL writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
