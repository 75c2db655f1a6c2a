"""Checks the manifests: python -m deploy.kubernetes.check

Each overlay is made by kustomize, held against the schemas of Kubernetes, strictly, and against the rules below.
Exits with 77 where kubectl's kustomize is too old, as Debian 12's is, or, but for CI, where there is none.
"""

import os
import shutil
import sys
from collections.abc import Iterator

import jsonschema
import kubernetes_validate

from deploy.kubernetes.manifests import Manifest, NoKustomize, Pods, pods, render
from deploy.kubernetes.operator_schemas import SCHEMAS

# From the oldest release that is still maintained to the newest that there are schemas of.
VERSIONS = ("1.35", "1.36", "1.37")
OVERLAYS = ("development", "production")
NOT_RUN = 77
_OPERATOR = "monitoring.coreos.com/v1"
_SECRETS = frozenset({"rowhouse", "rowhouse-owner", "rowhouse-postgresql"})
# The delay in which load balancers notice, feeds, running requests or jobs.
_DRAIN_SECONDS = 5 + 2 + 20
_WAIT_FOR_THE_DATABASE = frozenset({"/startupz", "/readyz", "/health"})


def faults(manifests: list[Manifest]) -> Iterator[str]:
    """What is wrong with them, in words."""
    for manifest in manifests:
        yield from (f"{manifest['kind']} {manifest['metadata']['name']}: {fault}" for fault in of_schema(manifest))
    yield from of_rules(manifests)


def of_rules(manifests: list[Manifest]) -> Iterator[str]:
    """What the schemas allow and we do not."""
    made = list(pods(manifests))
    for one in made:
        yield from (f"{one.kind} {one.name}: {fault}" for fault in (*_hardening(one), *_running(one)))
    yield from _references(manifests, made)


def of_schema(manifest: Manifest) -> Iterator[str]:
    """What the schemas do not allow."""
    try:
        if manifest["apiVersion"] == _OPERATOR:
            jsonschema.validate(manifest, SCHEMAS[manifest["kind"]])
        else:
            for version in VERSIONS:
                kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.SchemaNotFoundError as error:
        yield error.message
    except jsonschema.ValidationError as error:
        yield f"{error.json_path}: {error.message}"


def _hardening(one: Pods) -> Iterator[str]:
    """The Pod Security Standards' `restricted`, and a root that cannot be written."""
    spec, security = one.spec, one.spec.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "it may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile is not RuntimeDefault"
    if spec.get("automountServiceAccountToken") is not False:
        yield "it is given a token of the cluster"
    for container in one.containers:
        own, name = container.get("securityContext", {}), container["name"]
        if not own.get("readOnlyRootFilesystem"):
            yield f"{name} may write to its root"
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name} may gain rights"
        if any(
            "value" in one and ("PASSWORD" in one["name"] or "SECRET" in one["name"])
            for one in container.get("env", [])
        ):
            yield f"{name} has a secret in its manifest"


def _running(one: Pods) -> Iterator[str]:
    for container in one.containers:
        name, resources = container["name"], container.get("resources", {})
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
            yield f"{name} does not say what it needs"
        if ":" not in container["image"] or container["image"].endswith(":latest"):
            yield f"{name} has an image without a version"
        if one.kind != "Job" and "livenessProbe" not in container:
            yield f"{name} is not probed"
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(kind, {}).get("httpGet", {})
            if "port" in asked and asked["port"] not in one.ports:
                yield f"{name}: {kind} asks a port that is not there: {asked['port']}"
            if kind != "readinessProbe" and asked.get("path") in _WAIT_FOR_THE_DATABASE:
                yield f"{name}: {kind} kills it while it waits for the database or a migration: {asked['path']}"
    if one.kind == "Deployment" and one.spec.get("terminationGracePeriodSeconds", 30) <= _DRAIN_SECONDS:
        yield "it is killed before it has drained"


def _references(manifests: list[Manifest], made: list[Pods]) -> Iterator[str]:
    maps = {one["metadata"]["name"] for one in manifests if one["kind"] == "ConfigMap"}
    for one in made:
        for source in (source for container in one.containers for source in container.get("envFrom", [])):
            if "configMapRef" in source and source["configMapRef"]["name"] not in maps:
                yield f"{one.name}: no ConfigMap {source['configMapRef']['name']}"
            if "secretRef" in source and source["secretRef"]["name"] not in _SECRETS:
                yield f"{one.name}: a Secret that nobody is told to make: {source['secretRef']['name']}"
    for manifest in manifests:
        yield from (f"{manifest['kind']} {manifest['metadata']['name']}: {fault}" for fault in _selects(manifest, made))


def _selects(manifest: Manifest, made: list[Pods]) -> Iterator[str]:
    """What selects pods must find some, with the ports that it names."""
    spec = manifest.get("spec", {})
    match manifest["kind"]:
        case "Service":
            selector, ports = {"matchLabels": spec["selector"]}, [port["targetPort"] for port in spec["ports"]]
        case "ServiceMonitor":
            selector, ports = spec["selector"], [endpoint["port"] for endpoint in spec["endpoints"]]
        case "PodMonitor":
            selector, ports = spec["selector"], [endpoint["port"] for endpoint in spec["podMetricsEndpoints"]]
        case "NetworkPolicy":
            selector = spec["podSelector"]
            ports = [port["port"] for rule in spec.get("ingress", []) for port in rule.get("ports", [])]
        case "PodDisruptionBudget":
            selector, ports = spec["selector"], []
        case _:
            return
    selected = [one for one in made if one.meets(selector)]
    if not selected:
        yield "it selects no pods"
    for port in ports:
        if any(port not in one.ports for one in selected):
            yield f"what it selects has no port {port}"


def main() -> None:
    """Check all overlays; the exit code judges."""
    try:
        found = [f"{overlay}: {fault}" for overlay in OVERLAYS for fault in faults(render(overlay))]
    except NoKustomize as error:
        print(error)
        sys.exit(1 if "CI" in os.environ and shutil.which("kubectl") is None else NOT_RUN)
    print("\n".join(found) or "Both overlays hold.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
