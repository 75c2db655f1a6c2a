"""What an alert is made of, and how long its windows are."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

RUNBOOKS = "deploy/prometheus/runbooks.md"
# How long a window is that the rules call so. A run that shows them shortens it; names stay.
Clock = Callable[[str], str]
_WINDOW = re.compile(r"\[(\d+[smhd])\]")


def real(window: str) -> str:
    return window


class Severity(StrEnum):
    """Whether somebody is woken, or it can wait until tomorrow."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Alert:
    """`expression` has its windows in brackets; `lasts` is how long it must hold; `heading` is the runbook's, where
    several share one.
    """

    name: str
    severity: Severity
    summary: str
    expression: str
    lasts: str = "0s"
    heading: str | None = None

    @property
    def annotations(self) -> dict[str, str]:
        return {"summary": self.summary, "runbook": f"{RUNBOOKS}#{(self.heading or self.name).lower()}"}

    def rule(self, clock: Clock) -> dict[str, object]:
        return {
            "alert": self.name,
            "expr": timed(self.expression, clock),
            "for": clock(self.lasts),
            "labels": {"severity": self.severity.value},
            "annotations": self.annotations,
        }


def timed(expression: str, clock: Clock) -> str:
    return _WINDOW.sub(lambda found: f"[{clock(found[1])}]", expression)
