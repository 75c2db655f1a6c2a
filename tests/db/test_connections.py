"""The pool of connections: no more than allowed, the last one out first, nothing lost to those who give up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import asyncpg
import pytest

from service.db.connections import AllBusy, Connection, Connections
from tests.conftest import Database
from tests.waiting import happens


@asynccontextmanager
async def connections(database: Database, size: int) -> AsyncIterator[Connections]:
    pool = Connections(lambda: asyncpg.connect(database.service_url), size)
    try:
        yield pool
    finally:
        await pool.close(5)
        assert pool.sizes() == (0, 0)


async def pid(connection: Connection) -> int:
    return int(await connection.fetchval("select pg_backend_pid()"))


def test_the_last_one_given_back_goes_out_first(database: Database) -> None:
    async def run() -> None:
        async with connections(database, 3) as pool:
            first, second = await pool.take(1), await pool.take(1)
            pool.give(first)
            pool.give(second)
            assert pool.sizes() == (2, 2)
            taken = pool.take_idle()
            assert taken is second
            assert taken is not None
            pool.give(taken)

    asyncio.run(run())


def test_no_more_than_allowed_are_open_whoever_asks(database: Database) -> None:
    async def use(pool: Connections, seen: set[int]) -> None:
        connection = await pool.take(5)
        seen.add(await pid(connection))
        assert pool.sizes()[0] <= 3
        pool.give(connection)

    async def run() -> None:
        seen: set[int] = set()
        async with connections(database, 3) as pool:
            await asyncio.gather(*(use(pool, seen) for _ in range(40)))
        assert 1 <= len(seen) <= 3

    asyncio.run(run())


def test_a_crowd_opens_a_few_at_a_time_and_takes_what_is_given_back(database: Database) -> None:
    opening: list[asyncio.Event] = []

    async def connect() -> Connection:
        opening.append(asyncio.Event())
        await opening[-1].wait()
        return await asyncpg.connect(database.service_url)

    async def run() -> None:
        pool = Connections(connect, 10)
        takers = [asyncio.create_task(pool.take(60)) for _ in range(8)]
        await happens(lambda: pool.waiting() == 4)
        assert len(opening) == 4
        opening[0].set()
        first = await takers[0]
        await happens(lambda: len(opening) == 5)  # the next in line opens one in its place
        pool.give(first)
        assert await takers[5] is first  # the one after it does not wait for a new one
        assert (len(opening), pool.waiting()) == (5, 2)
        takers[6].cancel()
        for one in opening:
            one.set()
        await happens(lambda: len(opening) == 6)
        opening[5].set()
        for place in (1, 2, 3, 4, 5, 7):
            pool.give(await takers[place])
        assert pool.sizes() == (6, 6)
        await pool.close(5)

    asyncio.run(run())


def test_a_crowd_before_a_server_that_cannot_be_reached_is_told_at_once(database: Database) -> None:
    async def fail() -> Connection:
        await asyncio.sleep(0)
        raise OSError("no route")

    async def run() -> None:
        pool = Connections(fail, 10)
        told = await asyncio.wait_for(asyncio.gather(*(pool.take(60) for _ in range(30)), return_exceptions=True), 30)
        assert [str(error) for error in told] == ["no route"] * 30
        assert pool.sizes() == (0, 0)
        assert pool.waiting() == 0

    asyncio.run(run())


def test_a_crowd_before_a_server_that_hangs_is_not_told_that_others_are_busy(database: Database) -> None:
    begun: list[None] = []

    async def hang() -> Connection:
        begun.append(None)
        await asyncio.sleep(3600)
        raise OSError

    async def run() -> None:
        pool = Connections(hang, 10)
        first = [asyncio.create_task(pool.take(60)) for _ in range(4)]
        await happens(lambda: len(begun) == 4)
        with pytest.raises(TimeoutError):
            await pool.take(0.05)
        waiting = asyncio.create_task(pool.take(1))
        await happens(lambda: pool.waiting() == 1)
        first[0].cancel()  # its place is handed on, for what is left of the time
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 60)
        assert len(begun) == 5
        for one in first:
            one.cancel()
        await asyncio.gather(*first, return_exceptions=True)
        assert pool.sizes() == (0, 0)
        assert pool.waiting() == 0

    asyncio.run(run())


def test_who_waits_too_long_is_told_and_leaves_no_gap(database: Database) -> None:
    async def run() -> None:
        async with connections(database, 1) as pool:
            busy = await pool.take(1)
            with pytest.raises(AllBusy):
                await pool.take(0.05)
            waiting = asyncio.create_task(pool.take(5))
            leaving = asyncio.create_task(pool.take(5))
            await asyncio.sleep(0.01)
            leaving.cancel()
            pool.give(busy)
            assert await waiting is busy
            with pytest.raises(asyncio.CancelledError):
                await leaving
            pool.give(busy)
            assert pool.sizes() == (1, 1)

    asyncio.run(run())


def test_who_gives_up_as_a_connection_comes_passes_it_on(database: Database) -> None:
    async def run() -> None:
        async with connections(database, 1) as pool:
            busy = await pool.take(1)
            waiting = asyncio.create_task(pool.take(5))
            await asyncio.sleep(0.01)
            pool.give(busy)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert pool.sizes() == (1, 1)

    asyncio.run(run())


def test_a_closed_connection_is_replaced_for_the_next_in_line(database: Database) -> None:
    async def run() -> None:
        async with connections(database, 1) as pool:
            busy = await pool.take(1)
            waiting = asyncio.create_task(pool.take(5))
            await asyncio.sleep(0.01)
            busy.terminate()
            pool.give(busy)
            fresh = await waiting
            assert fresh is not busy
            assert await pid(fresh) > 0
            pool.give(fresh)
            fresh.terminate()
            assert pool.take_idle() is None

    asyncio.run(run())


def test_a_server_that_cannot_be_reached_leaves_the_places_free(database: Database) -> None:
    async def fail() -> Connection:
        raise OSError("no route")

    async def run() -> None:
        pool = Connections(fail, 1)
        for _ in range(3):
            with pytest.raises(OSError, match="no route"):
                await pool.take(1)
        assert pool.sizes() == (0, 0)

    asyncio.run(run())


def test_a_connection_knows_nothing_of_the_request_that_it_is_opened_for(database: Database) -> None:
    asking: ContextVar[str] = ContextVar("asking", default="nobody")
    seen: list[str] = []

    async def connect() -> Connection:
        seen.append(asking.get())
        return await asyncpg.connect(database.service_url)

    async def run() -> None:
        pool = Connections(connect, 1)
        asking.set("a request")
        pool.give(await pool.take(1))
        await pool.close(5)
        assert asking.get() == "a request"

    asyncio.run(run())
    assert seen == ["nobody"]
