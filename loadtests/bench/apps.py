"""The three applications: where each begins, and how it writes the same paths."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

POOL_SIZE = 16


@dataclass(frozen=True, slots=True, eq=False)
class App:
    """An application of one process. `page` takes the id before the page and the number of rows."""

    name: str
    title: str
    asgi: str
    flights: str
    page: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_rowhouse(self) -> bool:
        return self.asgi == "service.main:app"

    def one_path(self, number: int) -> str:
        return f"{self.flights}/{number}"

    def page_path(self, after: int, limit: int) -> str:
        return self.flights + self.page.format(after=after, limit=limit)


BARE = App("bare", "bare", "loadtests.bench.bare:app", "/flights", "?after={after}&limit={limit}")
ORM = App("orm", "ORM", "loadtests.bench.orm:app", "/flights", "?after={after}&limit={limit}")
ROWHOUSE = App(
    "rowhouse",
    "Rowhouse",
    "service.main:app",
    "/api/v1/flights",
    "?id=gt.{after}&order=id&limit={limit}",
    {
        "ENVIRONMENT": "production",
        "POOL_MAX_SIZE": str(POOL_SIZE),
        # Each request is still counted; none is one too many.
        "RATE_LIMIT": "1000000000",
        "LOG_FORMAT": "json",
        "ACCESS_LOG": "true",
    },
)
# The same, with 400 tables beside the five.
MANY = replace(
    ROWHOUSE,
    name="many",
    title="405 tables",
    environment={**ROWHOUSE.environment, "EXPOSED_SCHEMAS": "public,many"},
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is measured, beside which peers."""

    peers: tuple[App, ...]
    subject: App

    @property
    def apps(self) -> tuple[App, ...]:
        return (*self.peers, self.subject)


WITH_PEERS = Comparison((BARE, ORM), ROWHOUSE)
BY_TABLES = Comparison((replace(ROWHOUSE, title="5 tables"),), MANY)
