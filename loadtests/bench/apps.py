"""The applications: where each begins, and how it writes the same paths."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

POOL_SIZE = 16
_ROOT = Path(__file__).parents[2]
_PAGE = "?after={after}&limit={limit}"
_EMBEDDING = "/detailed?after={after}&limit={limit}"


@dataclass(frozen=True, slots=True, eq=False)
class App:
    """An application of one process. `page` takes the id before the page and the number of rows, as does `embedding`,
    whose flights have their airline and plane inside. `is_threaded`: it is of WSGI, and each request has a thread.
    """

    name: str
    title: str
    asgi: str
    flights: str
    page: str = ""
    embedding: str = ""
    is_threaded: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_rowhouse(self) -> bool:
        return self.asgi == "service.main:app"

    def one_path(self, number: int) -> str:
        return f"{self.flights}/{number}"

    def page_path(self, after: int, limit: int) -> str:
        return self.flights + self.page.format(after=after, limit=limit)

    def embedding_path(self, after: int, limit: int) -> str:
        return self.flights + self.embedding.format(after=after, limit=limit)

    def command(self, port: int) -> list[str]:
        """What starts it: one worker, with uvloop and httptools, or a thread for each connection."""
        if self.is_threaded:
            threads = ["--workers", "1", "--threads", str(POOL_SIZE), "--worker-class", "gthread"]
            return ["gunicorn", self.asgi, "--pythonpath", str(_ROOT), "--bind", f"127.0.0.1:{port}", *threads]
        options = ["--loop", "uvloop", "--http", "httptools", "--workers", "1", "--no-access-log", "--no-server-header"]
        return ["uvicorn", self.asgi, "--app-dir", str(_ROOT), "--port", str(port), *options]


BARE = App("bare", "bare", "loadtests.bench.bare:app", "/flights", _PAGE, _EMBEDDING)
ORM = App("orm", "ORM", "loadtests.bench.orm:app", "/flights", _PAGE, _EMBEDDING)
FASTCRUD = App("fastcrud", "FastCRUD", "loadtests.bench.fastcrud_app:app", "/flights")
DRF = App("drf", "DRF", "loadtests.bench.drf_app:app", "/flights", is_threaded=True)
ROWHOUSE = App(
    "rowhouse",
    "Rowhouse",
    "service.main:app",
    "/api/v1/flights",
    "?id=gt.{after}&order=id&limit={limit}",
    "?select=*,airline(*),plane(*)&id=gt.{after}&order=id&limit={limit}",
    environment={
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


WITH_FRAMEWORKS = Comparison((FASTCRUD, DRF), ROWHOUSE)
WITH_PEERS = Comparison((BARE, ORM), ROWHOUSE)
BY_TABLES = Comparison((replace(ROWHOUSE, title="5 tables"),), MANY)
