"""Rules and dashboards ask for what the running application tells, and are as Prometheus and Grafana want them."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from deploy.grafana.dashboard import Dashboard, Unit
from deploy.grafana.dashboards import DASHBOARDS
from deploy.prometheus.alert import RUNBOOKS, timed
from service.core.types import Role
from tests.conftest import Database
from tests.observability.workers import Samples, samples_of
from tests.service_under_test import run_service
from tests.waiting import until

_DEPLOY = Path(__file__).parents[2] / "deploy"
_RULES = yaml.safe_load((_DEPLOY / "prometheus" / "rules.yml").read_text())
# What Prometheus adds to every series, and the series that it makes itself.
_ADDED = {"job", "instance"}
_OWN = {"up": _ADDED, "ALERTS": {"alertname", "alertstate", "severity"}}


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _RULES["groups"] for rule in group["rules"]]


def _selectors(expression: str) -> list[Any]:
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(_as_asked(expression)), visit)
    return found


def _groupings(expression: str) -> Iterator[str]:
    labels: list[str] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            labels.extend(node.modifier.labels)
        return True

    promql_parser.walk(promql_parser.parse(_as_asked(expression)), visit)
    yield from labels


def _as_asked(expression: str) -> str:
    """As Grafana sends it."""
    return expression.replace("$__rate_interval", "5m").replace("$instance", ".*")


@pytest.fixture(scope="module")
def scraped_labels(
    database: Database, keys: dict[Role, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, set[str]]:
    """Labels by the name of the series, in a scrape of a service that has done a little of everything."""
    environment = {
        "DATABASE_URL": database.service_url,
        "JWT_SECRET": "x" * 40,
        "JOBS_INSIDE": "true",
        "EXPORT_DIR": str(tmp_path_factory.mktemp("exports")),
    }
    with run_service(environment, keys) as service, service.client(Role.EDITOR) as client:
        client.get("/api/v1/airlines", headers={"Accept": "text/csv"})
        client.get("/api/v1/airlines?format=csv")
        client.post("/api/v1/airlines", json={"carrier": "UA", "name": "twice"})
        service.state.metrics.jobs.observe("any", "done", 1.0)

        def seen() -> Samples | None:
            samples = samples_of(client.get("/metrics").text)
            names = {name for name, _ in samples}
            needed = {"rowhouse_jobs_dead", "rowhouse_webhook_dead", "rowhouse_change_log_changes"}
            return samples if needed <= names else None

        samples = until(seen)
        assert samples is not None
    labels: dict[str, set[str]] = {}
    for name, of in samples:
        labels.setdefault(name, set()).update(label for label, _ in of)
    return labels


def _all_expressions() -> Iterator[tuple[str, str]]:
    for rule in _rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for dashboard in DASHBOARDS:
        for expression in dashboard.expressions:
            yield dashboard.uid, expression


def test_every_metric_and_label_that_is_asked_for_is_told(scraped_labels: dict[str, set[str]]) -> None:
    recorded = {rule["record"]: _ADDED for rule in _rules() if "record" in rule}
    known = {name: labels | _ADDED for name, labels in scraped_labels.items()} | recorded | _OWN
    for where, expression in _all_expressions():
        labels: set[str] = set()
        for selector in _selectors(expression):
            assert selector.name in known, f"{where}: nothing tells {selector.name}"
            asked = {matcher.name for matcher in selector.matchers.matchers}
            assert asked <= known[selector.name], f"{where}: {selector.name} has no {asked - known[selector.name]}"
            labels |= known[selector.name]
        grouped = set(_groupings(expression))
        assert grouped <= labels, f"{where}: grouped by {grouped - labels}, which nothing has"


def test_whatever_is_told_of_rowhouse_is_asked_for(scraped_labels: dict[str, set[str]]) -> None:
    asked = {selector.name for _, expression in _all_expressions() for selector in _selectors(expression)}
    families = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in asked}
    told = {
        name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
        for name in scraped_labels
        if name.startswith("rowhouse_")
    }
    assert told <= families, f"on no dashboard and in no rule: {told - families}"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.uid)
def test_a_dashboard_is_as_grafana_wants_it(dashboard: Dashboard) -> None:
    document = json.loads((_DEPLOY / "grafana" / "json" / f"{dashboard.uid}.json").read_text())
    panels = document["panels"]
    assert document["schemaVersion"] == 39
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
        if panel["type"] == "row":
            continue
        assert panel["type"] in ("timeseries", "stat", "table")
        assert panel["fieldConfig"]["defaults"]["unit"] in set(Unit)
        assert panel["title"]
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["range"] is not target["instant"] for target in panel["targets"])
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        assert not _overlap(one, other), document["title"]
    assert len({one.uid for one in DASHBOARDS}) == len(DASHBOARDS)


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    across = one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
    return across and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]


def test_every_alert_leads_to_a_runbook_and_every_runbook_is_led_to() -> None:
    lines = (_DEPLOY.parent / RUNBOOKS).read_text().splitlines()
    anchors = [_github_slug(line.removeprefix("## ")) for line in lines if line.startswith("## ")]
    linked = {rule["annotations"]["runbook"] for rule in _rules() if "alert" in rule}
    assert linked == {f"{RUNBOOKS}#{anchor}" for anchor in anchors}
    assert len(set(anchors)) == len(anchors)


def _github_slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_windows_follow_a_clock() -> None:
    assert timed("rate(a[5m]) + b[1h]", {"5m": "9s", "1h": "1m"}.__getitem__) == "rate(a[9s]) + b[1m]"
