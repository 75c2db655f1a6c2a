"""The rules as Prometheus reads them, from alerts and objectives."""

import yaml

from deploy.prometheus.alert import Alert, Clock, real, timed
from deploy.prometheus.alerts import ALERTS, POOL_ALWAYS_WAITED_FOR
from deploy.prometheus.objectives import OBJECTIVES, WINDOWS, Objective, burn_alerts

HEADER = "# Generated from the code beside it by `make generated`. What to do about an alert is in runbooks.md.\n"
# What pages by itself a minute later; a single scrape is none. The objectives' alerts are silent while it holds, and
# for as long after as the shorter of their windows is (five minutes to six hours).
_KNOWN_CAUSE = (
    f"max by (job) (\n  max_over_time(rowhouse_database_up[1m]) == bool 0\n  or {POOL_ALWAYS_WAITED_FOR} > bool 0\n)"
)

# What is recorded, and the alerts that ask for it.
GROUPS = ("rowhouse.objectives", "rowhouse")


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Expressions of several lines stay several lines, and lists stand in."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> object:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def as_yaml(document: object) -> str:
    return f"{HEADER}{yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)}"


def alerts() -> list[Alert]:
    return [*ALERTS, *burn_alerts()]


def rules(clock: Clock = real) -> str:
    """`rules.yml`, with windows as long as the clock says."""
    recorded = [
        {"record": "rowhouse:known_cause", "expr": timed(_KNOWN_CAUSE, clock)},
        *(_recorded(objective, window, clock) for objective in OBJECTIVES for window in WINDOWS),
    ]
    named = [alert.rule(clock) for alert in alerts()]
    return as_yaml(
        {"groups": [{"name": name, "rules": found} for name, found in zip(GROUPS, (recorded, named), strict=True)]}
    )


def _recorded(objective: Objective, window: str, clock: Clock) -> dict[str, str]:
    expression = objective.bad.replace("%s", window)
    return {"record": f"{objective.ratio}{window}", "expr": timed(expression, clock)}
