"""What is kept of a request, a job or a delivery while it goes on: how long its stages take, and its spans.

There is a trail only where somebody looks at it: where the request is traced, or is told its timing. Whoever has
something to say of a stage asks for the trail that it is part of, and mostly there is none.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

from service.observability.statement_text import described
from service.observability.trace_context import TraceContext

Value = str | int | float
Attributes = Mapping[str, Value]
ErrorKind = type[BaseException] | None


class Kind(StrEnum):
    """The part that a span has in its trace (OpenTelemetry specification, SpanKind)."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    CONSUMER = "CONSUMER"


@dataclass(frozen=True, slots=True)
class Span:
    """One step of a trace, ended. Times are in nanoseconds since 1970; `error` is a type, where it went wrong."""

    context: TraceContext
    parent: TraceContext | None
    is_parent_remote: bool
    name: str
    kind: Kind
    begun: int
    ended: int
    attributes: Attributes
    error: str | None = None


Export = Callable[[Span], None]


class Trail:
    """`context` is the step that it is itself, where it is traced; `stages` are in seconds."""

    __slots__ = ("_begun", "_export", "_parent", "context", "stages")

    def __init__(self, context: TraceContext | None, parent: TraceContext | None, export: Export | None) -> None:
        self.stages: dict[str, float] = {}
        self.context = context
        self._parent = parent
        self._export = export
        self._begun = time.time_ns()

    def took(self, name: str, seconds: float) -> None:
        """A stage has taken so long, this time."""
        self.stages[name] = self.stages.get(name, 0.0) + seconds

    def stage(self, name: str) -> "_Stage":
        """Adds the time that a block takes to that of a stage."""
        return _Stage(self, name)

    def statement(self, sql: str) -> "_Stage":
        """A statement of ours, whose values are not in it."""
        return self.stage("db") if self.context is None else _Statement(self, sql)

    def end(self, name: str, kind: Kind, attributes: Attributes, error: str | None = None) -> None:
        """It is over: what it was is known now."""
        if self._export is not None and self.context is not None:
            ended = time.time_ns()
            span = Span(self.context, self._parent, True, name, kind, self._begun, ended, attributes, error)
            self._export(span)

    def add(self, name: str, kind: Kind, begun: int, attributes: Attributes, error: str | None) -> None:
        """A step below it that has just ended."""
        if self._export is not None and self.context is not None:
            step = self.context.next()
            self._export(Span(step, self.context, False, name, kind, begun, time.time_ns(), attributes, error))


class _Stage(AbstractContextManager[None]):
    __slots__ = ("_begun", "_name", "_trail")

    def __init__(self, trail: Trail, name: str) -> None:
        self._trail = trail
        self._name = name
        self._begun = 0.0

    def __enter__(self) -> None:
        self._begun = time.perf_counter()

    def __exit__(self, kind: ErrorKind, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._trail.took(self._name, time.perf_counter() - self._begun)


class _Statement(_Stage):
    __slots__ = ("_at", "_sql")

    def __init__(self, trail: Trail, sql: str) -> None:
        super().__init__(trail, "db")
        self._sql = sql
        self._at = 0

    def __enter__(self) -> None:
        self._at = time.time_ns()
        super().__enter__()

    def __exit__(self, kind: ErrorKind, error: BaseException | None, traceback: TracebackType | None) -> None:
        super().__exit__(kind, error, traceback)
        what = described(self._sql)
        failed = None if kind is None else str(getattr(error, "sqlstate", None) or kind.__name__)
        self._trail.add(what.summary, Kind.CLIENT, self._at, what.attributes, failed)


_trail: ContextVar[Trail | None] = ContextVar("rowhouse_trail", default=None)
current_trail = _trail.get
_NOTHING = nullcontext[None]()


class _OnTrail(AbstractContextManager[None]):
    """As a class: a generator would take twice as long."""

    __slots__ = ("_token", "_trail")

    def __init__(self, trail: Trail | None) -> None:
        self._trail = trail

    def __enter__(self) -> None:
        self._token = _trail.set(self._trail)

    def __exit__(self, kind: ErrorKind, error: BaseException | None, traceback: TracebackType | None) -> None:
        _trail.reset(self._token)


def on_trail(trail: Trail | None) -> AbstractContextManager[None]:
    """What is done in the block leaves this trail, or none."""
    return _OnTrail(trail)


def stage(name: str) -> AbstractContextManager[None]:
    """The time that a block takes, for the trail that it is part of, if there is one."""
    trail = _trail.get()
    return _NOTHING if trail is None else trail.stage(name)


def statement(sql: str) -> AbstractContextManager[None]:
    """A statement of ours that runs in a block, likewise."""
    trail = _trail.get()
    return _NOTHING if trail is None else trail.statement(sql)


def said_of(trail: Trail | None) -> dict[str, str]:
    """What log lines say of it, where it is traced."""
    return {} if trail is None or trail.context is None else {"trace_id": trail.context.trace_id}


def recorded() -> TraceContext | None:
    """The step that is being recorded, for whoever passes the trace on."""
    trail = _trail.get()
    return None if trail is None else trail.context
