"""What runs a statement: the pool, or a transaction that several statements share."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg

from service.db.connections import Connection
from service.observability.metrics import Kind

if TYPE_CHECKING:
    from service.db.transaction import Transaction

CHECK = "set constraints all immediate"
# What asyncpg raises where a connection breaks: its internal error too, where the server goes amid a message.
LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
)
_SET = """
select set_config(
    name, case name when 'search_path' then concat_ws(', ', value, current_setting(name)) else value end, true)
from unnest($1::text[], $2::text[]) s (name, value)
"""
# Not DISCARD ALL, which would forget the prepared statements as well.
# The user first: it may have been given up when the connection was made, and `reset role` goes back to that.
_CLEAN = (
    "reset session authorization; reset role; reset all; close all; unlisten *; select pg_advisory_unlock_all(); "
    "discard temp; discard sequences"
)


class Row(Protocol):
    """A record of the answer, by position."""

    def __getitem__(self, index: int) -> Any: ...


@dataclass(frozen=True, slots=True)
class Unit:
    """A transaction around one statement, with what must hold before it.

    `settings` are set for its length alone; a `search_path` goes before the one that is there. `keeps` False undoes it
    in the end. `cleans` undoes what a function may have set on the connection (PostgreSQL manual, DISCARD). What
    `verify` raises undoes it too. `is_in_lines`: the answer is a text in lines, one a row, as EXPLAIN writes it; they
    come as one. `is_call`: it calls a function.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    is_read_only: bool = False
    keeps: bool = True
    cleans: bool = False
    verify: Callable[[Row], None] | None = None
    is_in_lines: bool = False
    is_call: bool = False


class Runner(Protocol):
    """Runs single statements. `epoch` is the life of the cluster that row versions belong to."""

    @property
    def epoch(self) -> str: ...

    async def read(self, sql: str, arguments: Sequence[object]) -> Row | None: ...

    async def read_all(self, sql: str, arguments: Sequence[object]) -> Sequence[Row]: ...

    async def write(self, sql: str, arguments: Sequence[object]) -> Row | None: ...

    async def run(self, sql: str, arguments: Sequence[object], unit: Unit) -> Row | None: ...

    def together(self, *, keeps: bool = True) -> "AbstractAsyncContextManager[Transaction]": ...


def kind_of(unit: Unit | None, *, is_read: bool) -> Kind:
    if unit is not None and unit.is_call:
        return Kind.CALL
    return Kind.READ if is_read else Kind.WRITE


def untold(_kind: Kind, _seconds: float) -> None:
    """Nobody wants to know how long statements take."""


async def in_unit(connection: Connection, sql: str, arguments: Sequence[object], unit: Unit) -> Row | None:
    try:
        return await _in_transaction(connection, sql, arguments, unit)
    finally:
        if not connection.is_closed():
            await clean_up(connection, unit)


async def _in_transaction(connection: Connection, sql: str, arguments: Sequence[object], unit: Unit) -> Row | None:
    transaction = connection.transaction(readonly=unit.is_read_only)
    await transaction.start()
    try:
        if unit.settings:
            await set_locally(connection, unit.settings)
        row: Row | None
        if unit.is_in_lines:
            row = (text_of(await connection.fetch(sql, *arguments)),)
        else:
            row = await connection.fetchrow(sql, *arguments)
        if unit.verify is not None and row is not None:
            unit.verify(row)
        if not unit.keeps:
            await connection.execute(CHECK)  # what keeping it would have refused
    except BaseException:
        if not connection.is_closed():
            await transaction.rollback()
        raise
    await (transaction.commit() if unit.keeps else transaction.rollback())
    return row


async def clean_up(connection: Connection, unit: Unit) -> None:
    if unit.cleans:
        await connection.execute(_CLEAN)


async def set_locally(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set for the length of the running transaction."""
    names, values = zip(*settings.items(), strict=True)
    await connection.execute(_SET, names, values)


def text_of(lines: Sequence[Row]) -> bytes:
    return b"\n".join(line[0] if isinstance(line[0], bytes) else line[0].encode() for line in lines)
