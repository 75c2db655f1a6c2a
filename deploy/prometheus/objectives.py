"""Service level objectives, and alerts on how fast their error budgets burn.

Windows and factors are those of Google's SRE Workbook (chapter 5, "Multiwindow, multi-burn-rate alerts").
"""

from dataclasses import dataclass

from deploy.prometheus.alert import Alert, Severity

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
# What nobody but a probe or Prometheus itself asks for is no request of a user.
_PROBES = "/(livez|readyz|startupz|health|metrics)"
USERS = f'handler!~"{_PROBES}"'
# A login takes long on purpose: passwords are hashed by Argon2, two at once.
_QUICK = f'handler!~"{_PROBES}|/api/v1/-/auth/token|/admin/login.*"'


@dataclass(frozen=True, slots=True)
class Objective:
    """A share of requests that may be bad. `ratio` is the recording rule's name before the window, `bad` what it is."""

    name: str
    budget: float
    ratio: str
    bad: str
    told: str


AVAILABILITY = Objective(
    "Availability",
    0.001,
    "rowhouse:errors:ratio_rate",
    f'(sum by (job) (rate(http_requests_total{{status=~"5..", {USERS}}}[%s]))\n'
    f"  or 0 * sum by (job) (rate(http_requests_total{{{USERS}}}[%s])))\n"
    f"/ sum by (job) (rate(http_requests_total{{{USERS}}}[%s]))",
    "Requests fail (5xx)",
)
LATENCY = Objective(
    "Latency",
    0.01,
    "rowhouse:slow:ratio_rate",
    f'1 - sum by (job) (rate(http_request_duration_seconds_bucket{{le="0.5", {_QUICK}}}[%s]))\n'
    f"/ sum by (job) (rate(http_request_duration_seconds_count{{{_QUICK}}}[%s]))",
    "Requests take more than half a second",
)
OBJECTIVES = (AVAILABILITY, LATENCY)


@dataclass(frozen=True, slots=True)
class Burn:
    """So many times as fast as the budget allows, seen in both windows."""

    factor: float
    long: str
    short: str
    severity: Severity
    name: str
    spent: str


BURNS = (
    Burn(14.4, "1h", "5m", Severity.PAGE, "VeryFast", "2 % of a month's budget in an hour"),
    Burn(6, "6h", "30m", Severity.PAGE, "Fast", "5 % of a month's budget in six hours"),
    Burn(3, "1d", "2h", Severity.TICKET, "Slow", "10 % of a month's budget in a day"),
    Burn(1, "3d", "6h", Severity.TICKET, "VerySlow", "10 % of a month's budget in three days"),
)


def burn_alerts() -> list[Alert]:
    return [_alert(objective, burn) for objective in OBJECTIVES for burn in BURNS]


def _alert(objective: Objective, burn: Burn) -> Alert:
    burns, most = f"Rowhouse{objective.name}Burns", f"{burn.factor * objective.budget:g}"
    return Alert(
        f"{burns}{burn.name}",
        burn.severity,
        f"{objective.told}: {burn.spent}.",
        f"(\n  {objective.ratio}{burn.long} > {most}\n  and {objective.ratio}{burn.short} > {most}\n)\n"
        # Its cause has an alert of its own, and is what to see to.
        f"unless on (job) max_over_time(rowhouse:known_cause[{burn.short}]) > 0",
        "2m",  # within that a cause is known, which must hold for a minute
        heading=burns,
    )
