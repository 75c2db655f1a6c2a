"""How the log is read: in pages, whatever there is to be found."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
from starlette.types import Message

from service.api.v1.feed_end import Events
from service.api.v1.feed_poll import Poll
from service.auth.principal import Principal, PrincipalKind
from service.core.errors import DatabaseUnavailable
from service.core.types import Role
from service.crud.statements import StatementCache
from service.db.pool import TablePool
from service.events import log as reading
from service.events.channel import End, FeedEnded
from service.events.event import Event, Kind
from service.events.follow_request import make_feed
from service.events.log import PAGE, PAGE_BYTES, ChangeLog, Feed, Page
from service.events.position import Cursors, Position
from service.events.session import Session
from service.query.parse.parameters import Bounds
from service.query.parse.request import parse_parameters
from tests.conftest import Database
from tests.service_under_test import Service, settings_from

_ADMIN = Principal(PrincipalKind.API_KEY, "x", "x", Role.ADMIN)
_ROWS = 900
_LETTERS = 20_000
_NOW = "select pg_current_snapshot()::text"

Read = Callable[[str], AsyncIterator[Page]]


@pytest.fixture
async def read(service: Service, database: Database) -> AsyncIterator[Read]:
    """Reads 900 large changes with a filter."""
    runtime = service.state.connected()
    pool = TablePool(database.service_url, settings_from({"DATABASE_URL": database.service_url}).database, role=None)
    await pool.warm()
    log = ChangeLog(pool, StatementCache(), Cursors("x"), 1)
    owner = await asyncpg.connect(database.owner_url)
    seen = await owner.fetchval(_NOW)
    await owner.execute(
        f"insert into airlines select '~' || n, repeat('x', {_LETTERS}) from generate_series(1, {_ROWS}) n"
    )
    until = await owner.fetchval(_NOW)
    resource = runtime.catalog.get("airlines")

    async def pages(name: str) -> AsyncIterator[Page]:
        plan = parse_parameters(runtime.catalog, resource, (("name", name),), Bounds(10, 2)).plan
        feed = make_feed([plan], [await log.tracked(resource)], runtime.policy, _ADMIN)
        async for page in log.between(feed, Position(seen, until)):
            yield page

    yield pages
    await owner.execute("delete from airlines where carrier like '~%'")
    await owner.close()
    await pool.close()


async def test_pages_of_large_rows_are_shorter(read: Read) -> None:
    sizes = [len(page.events) async for page in read("like.x*")]
    assert sum(sizes) == _ROWS
    assert sizes[0] == PAGE
    assert max(sizes[1:]) < PAGE_BYTES // _LETTERS


async def test_a_page_without_anything_has_a_place_of_its_own(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that whoever waits hears of it, and goes on from there."""
    monkeypatch.setattr(reading, "_WINDOW", 100)
    pages = [page async for page in read("eq.other")]
    assert len(pages) == _ROWS // 100
    assert not any(page.events for page in pages)
    assert len({page.cursor for page in pages}) == len(pages)


async def test_a_part_of_the_rows_is_no_answer(service: Service) -> None:
    """A poll that is stopped while it reads them keeps none."""

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async def rows() -> Events:
        yield [Event("", Kind.ROWS, b"{}", rows=1)]
        raise FeedEnded(End.SHUTDOWN)

    feed = Feed.of(())
    session = Session(service.state.connected().hub, _ADMIN, feed, (), 0, lambda: feed)
    with pytest.raises(DatabaseUnavailable):
        await Poll(session, False, 20, 100).answer(receive, rows())
