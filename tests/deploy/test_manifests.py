"""What `make validate` holds manifests and compose file to: as they are they hold, and each fault is found."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from deploy.docker import check_compose
from deploy.kubernetes.check import OVERLAYS, of_rules, of_schema
from deploy.kubernetes.manifests import Manifest, NoKustomize, render
from service import __version__


@pytest.fixture(scope="module")
def overlays() -> dict[str, list[Manifest]]:
    try:
        return {overlay: render(overlay) for overlay in OVERLAYS}
    except NoKustomize as error:
        pytest.skip(str(error))


def find(manifests: list[Manifest], kind: str, name: str = "rowhouse") -> Manifest:
    return next(one for one in manifests if (one["kind"], one["metadata"]["name"]) == (kind, name))


def container(manifests: list[Manifest]) -> dict[str, Any]:
    found: dict[str, Any] = find(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return found


def test_the_overlays_hold(overlays: dict[str, list[Manifest]]) -> None:
    for manifests in overlays.values():
        assert list(of_rules(manifests)) == []


def test_a_release_has_a_migration_of_its_own(overlays: dict[str, list[Manifest]]) -> None:
    job = find(overlays["production"], "Job", f"rowhouse-migrate-{__version__}")
    assert job["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f"/rowhouse:{__version__}")


def test_only_the_migration_is_given_the_owner_s_password(overlays: dict[str, list[Manifest]]) -> None:
    for manifests in overlays.values():
        given = [one["kind"] for one in manifests if "rowhouse-owner" in str(one)]
        assert given == ["Job"]


def test_the_cluster_s_name_server_is_selected_by_its_own_labels(overlays: dict[str, list[Manifest]]) -> None:
    """kustomize adds labels to every selector, those of others too, where it is told to add them to selectors."""
    rule = find(overlays["production"], "NetworkPolicy", "dns")["spec"]["egress"][0]
    assert rule["to"][0]["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda all_: container(all_)["securityContext"].pop("readOnlyRootFilesystem"), "may write to its root"),
        (lambda all_: container(all_)["securityContext"]["capabilities"].update(add=["SYS_PTRACE"]), "may gain rights"),
        (lambda all_: container(all_).pop("livenessProbe"), "is not probed"),
        (lambda all_: container(all_)["readinessProbe"]["httpGet"].update(port="web"), "a port that is not there"),
        (lambda all_: container(all_)["startupProbe"]["httpGet"].update(path="/startupz"), "startupProbe kills it"),
        (lambda all_: container(all_)["livenessProbe"]["httpGet"].update(path="/readyz"), "livenessProbe kills it"),
        (lambda all_: container(all_).update(image="rowhouse:latest"), "without a version"),
        (lambda all_: container(all_)["envFrom"].append({"secretRef": {"name": "other"}}), "nobody is told to make"),
        (lambda all_: find(all_, "ConfigMap", find_settings(all_))["metadata"].update(name="x"), "no ConfigMap"),
        (lambda all_: find(all_, "Service")["spec"]["selector"].update(app="x"), "it selects no pods"),
        (lambda all_: find(all_, "ServiceMonitor")["spec"]["endpoints"][0].update(port="x"), "has no port x"),
        (
            lambda all_: find(all_, "Deployment")["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=20),
            "killed before it has drained",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_is_found(
    overlays: dict[str, list[Manifest]], spoil: Callable[[list[Manifest]], object], fault: str
) -> None:
    manifests = copy.deepcopy(overlays["production"])
    spoil(manifests)
    assert any(fault in found for found in of_rules(manifests)), list(of_rules(manifests))


def find_settings(manifests: list[Manifest]) -> str:
    return str(next(one["metadata"]["name"] for one in manifests if one["kind"] == "ConfigMap"))


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("Service", lambda spec: spec.update(selektor={})),
        ("HorizontalPodAutoscaler", lambda spec: spec.update(maxReplicas="six")),
        ("ServiceMonitor", lambda spec: spec["endpoints"][0].update(every="15s")),
        ("PrometheusRule", lambda spec: spec["groups"][0]["rules"][0].update(alert="Both")),
    ],
    ids=["Service", "HorizontalPodAutoscaler", "ServiceMonitor", "PrometheusRule"],
)
def test_a_field_that_there_is_not_is_found(
    overlays: dict[str, list[Manifest]], kind: str, spoil: Callable[[dict[str, Any]], object]
) -> None:
    manifest = copy.deepcopy(find(overlays["production"], kind))
    assert list(of_schema(manifest)) == []
    spoil(manifest["spec"])
    assert len(list(of_schema(manifest))) == 1


@pytest.mark.parametrize(
    ("service", "change", "fault"),
    [
        ("service", {"ports": ["8000:8000"]}, "open to the network"),
        ("service", {"environment": {"JWT_SECRET": "x"}}, "JWT_SECRET is written down"),
        ("worker", {"read_only": False}, "may write to its root"),
        ("prometheus", {"volumes": ["../nowhere.yml:/etc/x.yml:ro"]}, "../nowhere.yml is not there"),
        ("grafana", {"image": "grafana/grafana"}, "has no version"),
    ],
)
def test_a_fault_of_the_compose_file_is_found(service: str, change: dict[str, Any], fault: str) -> None:
    services = yaml.safe_load(check_compose.FILE.read_text())["services"]
    assert list(check_compose.faults(services)) == []
    services[service] |= change
    assert any(fault in found for found in check_compose.faults(services))
