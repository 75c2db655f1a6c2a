"""How traces are passed on between services (W3C Trace Context, level 1)."""

import re
from dataclasses import dataclass
from random import SystemRandom

_FIRST_VERSION = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
# A later version begins like the first one, and may go on after a dash; ff is none.
_LATER_VERSION = re.compile(r"(?!00|ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = 1
_random = SystemRandom()


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One step of a trace: ids of the trace and of the step in hexadecimal, and whether the trace is recorded."""

    trace_id: str
    span_id: str
    is_sampled: bool

    @classmethod
    def read(cls, header: str) -> "TraceContext | None":
        """What a `traceparent` says; None where it is not well-formed, and so says nothing."""
        found = _FIRST_VERSION.fullmatch(header) or _LATER_VERSION.fullmatch(header)
        if found is None:
            return None
        trace_id, span_id, flags = found.groups()
        if trace_id == _NO_TRACE or span_id == _NO_SPAN:
            return None
        return cls(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))

    @property
    def header(self) -> str:
        """As `traceparent` has it."""
        return f"00-{self.trace_id}-{self.span_id}-{_SAMPLED if self.is_sampled else 0:02x}"

    @classmethod
    def new(cls) -> "TraceContext":
        """The first step of a new trace that is recorded."""
        return cls(f"{_random.getrandbits(128) or 1:032x}", new_span_id(), is_sampled=True)

    def next(self) -> "TraceContext":
        """Another step, below this one."""
        return TraceContext(self.trace_id, new_span_id(), self.is_sampled)


def new_span_id() -> str:
    return f"{_random.getrandbits(64) or 1:016x}"
