"""The rules as Prometheus reads them, from alerts and objectives."""

import yaml

from deploy.prometheus.alert import Alert, Clock, real, timed
from deploy.prometheus.alerts import ALERTS
from deploy.prometheus.objectives import OBJECTIVES, WINDOWS, Objective, burn_alerts

HEADER = "# Generated from the code beside it by `make generated`. What to do about an alert is in runbooks.md.\n"
# While one of these holds, and has an alert, the objectives' alerts are silent.
_KNOWN_CAUSE = "max by (job) (rowhouse_database_up == bool 0 or rowhouse_pool_waiting > bool 0)"


class _Dumper(yaml.SafeDumper):
    """Expressions of several lines stay several lines, and lists stand in."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def as_yaml(document: object) -> str:
    return HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def alerts() -> list[Alert]:
    return [*ALERTS, *burn_alerts()]


def rules(clock: Clock = real) -> str:
    """`rules.yml`, with windows as long as the clock says."""
    recorded = [
        {"record": "rowhouse:known_cause", "expr": _KNOWN_CAUSE},
        *(_recorded(objective, window, clock) for objective in OBJECTIVES for window in WINDOWS),
    ]
    named = [alert.rule(clock) for alert in alerts()]
    return as_yaml({"groups": [{"name": "rowhouse.objectives", "rules": recorded}, {"name": "rowhouse", "rules": named}]})


def _recorded(objective: Objective, window: str, clock: Clock) -> dict[str, str]:
    expression = objective.bad.replace("%s", window)
    return {"record": f"{objective.ratio}{window}", "expr": timed(expression, clock)}
