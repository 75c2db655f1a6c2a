"""Exports: policy, compile, COPY. PostgreSQL writes the text; columns are made of it block by block."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import orjson

from service.auth.policy import Policy
from service.auth.principal import Principal
from service.catalog.result_column import ResultColumn
from service.core.errors import LimitExceeded, RowhouseError
from service.crud.encoding import Encoding, Gathering
from service.crud.explain import explain
from service.crud.result_columns import probed, result_columns
from service.crud.statements import StatementCache
from service.db.copy import CopyPool, CopyTransaction, Sink
from service.formats.encoder import Encoder
from service.formats.format import Format
from service.query.compile.export import (
    Copied,
    as_csv,
    as_json_values,
    as_lines,
    as_sheet,
    as_texts,
    bind_settings,
    compile_flat,
)
from service.query.compile.statement import without_token
from service.query.plan import ReadPlan

_BLOCKS: Mapping[Format, int] = MappingProxyType(
    {Format.COLUMNS: 4 * 2**20, Format.ARROW: 4 * 2**20, Format.PARQUET: 8 * 2**20}
)
_FORMS_OF_TEXT = "select set_config('intervalstyle', 'iso_8601', true), set_config('bytea_output', 'hex', true)"
_Write = Callable[[str, Sequence[ResultColumn]], Copied]
_WRITERS: Mapping[Format, _Write] = MappingProxyType(
    {
        Format.CSV: as_csv,
        Format.NDJSON: as_lines,
        Format.COLUMNS: as_json_values,
        Format.ARROW: as_texts,
        Format.PARQUET: as_texts,
        Format.SHEET: as_sheet,
    }
)


class Exporter:
    """Runs read plans to their last row, as far as the caller may see."""

    def __init__(
        self, pool: CopyPool, policy: Policy, statements: StatementCache, *, max_cost: float | None = None
    ) -> None:
        self._pool = pool
        self._policy = policy
        self._statements = statements
        self._max_cost = max_cost

    async def run(self, asked: ReadPlan, principal: Principal, form: Format, sink: Sink) -> int:
        """Send all rows in a format, and tell how many they were. The sink is called in order, and waited for.

        Raises: as `Reader.page`; what the sink raises.
        """
        plan = self._policy.restrict(asked, principal)
        statement = self._statements.get(compile_flat, plan)
        try:
            async with self._pool.begin(runs_code=statement.runs_code) as transaction:
                await transaction.rows(*bind_settings(plan, transaction.epoch))
                await self._refuse_dear(transaction, statement.sql)
                columns = await result_columns(transaction, statement.sql, plan)
                if form in (Format.ARROW, Format.PARQUET):
                    await transaction.rows(_FORMS_OF_TEXT)
                    columns = await probed(transaction, statement.sql, columns)
                return await _copy(transaction, statement.sql, columns, form, sink)
        except RowhouseError as error:
            raise explain(error, asked, plan) from error

    def identity(self, asked: ReadPlan, principal: Principal) -> str:
        """What tells this read of this caller, with its rights, from others; the same in each process.

        Raises: as `Policy.rows`.
        """
        plan = self._policy.restrict(asked, principal)
        statement = self._statements.get(compile_flat, plan)
        read = [principal.actor, without_token(statement.sql), *bind_settings(plan, "")]
        return hashlib.blake2b(orjson.dumps(read), digest_size=20).hexdigest()

    async def _refuse_dear(self, transaction: CopyTransaction, sql: str) -> None:
        if self._max_cost is None:
            return
        rows = await transaction.rows(f"explain (format json) {sql}")
        cost = float(orjson.loads(rows[0][0])[0]["Plan"]["Total Cost"])
        if cost > self._max_cost:
            raise LimitExceeded(
                f"PostgreSQL estimates a cost of {cost:.0f}, and {self._max_cost:.0f} is allowed.",
                hint="Narrow the filter, or order by an indexed column.",
            )


async def _copy(
    transaction: CopyTransaction, sql: str, columns: Sequence[ResultColumn], form: Format, sink: Sink
) -> int:
    copied = _WRITERS[form](sql, columns)
    encoder = _encoder(form, columns)
    if encoder is None:
        gathering = Gathering(sink)
        rows = await transaction.copy(copied.sql, copied.options, gathering.take)
        await gathering.end()
        return rows
    encoding = Encoding(encoder, sink)
    # COPY sends each row in a message of its own (PostgreSQL manual, chapter 54.7), so a block ends where a row does.
    gathering = Gathering(encoding.take, _BLOCKS[form])
    try:
        rows = await transaction.copy(copied.sql, copied.options, gathering.take)
        await gathering.end()
        await encoding.end()
    finally:
        await encoding.close()
    return rows


def _encoder(form: Format, columns: Sequence[ResultColumn]) -> Encoder | None:
    """What is imported here takes 60 MB, which only those pay who need it."""
    match form:
        case Format.COLUMNS:
            from service.formats.columns import ColumnsEncoder

            return ColumnsEncoder(columns)
        case Format.ARROW:
            from service.formats.arrow import StreamEncoder

            return StreamEncoder(columns)
        case Format.PARQUET:
            from service.formats.arrow import ParquetEncoder

            return ParquetEncoder(columns)
    return None
