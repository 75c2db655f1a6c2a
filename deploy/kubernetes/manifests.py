"""The manifests of an overlay as kustomize makes them, and what refers to what in them."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

OVERLAYS = Path(__file__).with_name("overlays")
Manifest = dict[str, Any]
_LEAST_KUSTOMIZE = 5


class NoKustomize(Exception):
    """There is no kubectl, or its kustomize is too old to read the overlays."""


@dataclass(frozen=True, slots=True)
class Pods:
    """What makes pods, and what each of them is."""

    kind: str
    name: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def containers(self) -> list[dict[str, Any]]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> set[str]:
        return {port["name"] for container in self.containers for port in container.get("ports", [])}

    def meets(self, selector: dict[str, Any]) -> bool:
        wanted: dict[str, str] = selector.get("matchLabels", {})
        return wanted.items() <= self.labels.items() and all(
            self.labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])
        )


def render(overlay: str) -> list[Manifest]:
    """Raises:
    NoKustomize: nothing here can.
    SystemExit: kustomize refuses it.
    """
    _require_kustomize()
    finished = subprocess.run(["kubectl", "kustomize", OVERLAYS / overlay], capture_output=True, text=True)
    if finished.returncode:
        raise SystemExit(f"{overlay}: {finished.stderr.strip()}")
    return list(yaml.safe_load_all(finished.stdout))


def pods(manifests: list[Manifest]) -> Iterator[Pods]:
    for manifest in manifests:
        template = manifest.get("spec", {}).get("template")
        if template is not None:
            labels = template["metadata"]["labels"]
            yield Pods(manifest["kind"], manifest["metadata"]["name"], labels, template["spec"])


def _require_kustomize() -> None:
    if shutil.which("kubectl") is None:
        raise NoKustomize("kubectl is not installed")
    command = ["kubectl", "version", "--client", "--output=json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    version = found.get("kustomizeVersion", "v0")
    if int(version.lstrip("v").partition(".")[0]) < _LEAST_KUSTOMIZE:
        raise NoKustomize(f"kubectl has Kustomize {version}; {_LEAST_KUSTOMIZE} or newer is needed")
