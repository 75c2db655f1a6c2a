"""Checks what the schema of compose files cannot: python -m deploy.docker.check_compose

What is mounted exists, nothing listens beyond this machine, images have versions, no secret stands in the file.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("compose.yaml")
_SECRET = re.compile(r"PASSWORD|SECRET|DATABASE_URL")
_REQUIRED = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")


def faults(services: dict[str, Any]) -> Iterator[str]:
    """What is wrong with them, in words."""
    for name, service in services.items():
        yield from (f"{name}: {fault}" for fault in (*_files(service), *_exposed(service), *_written_down(service)))


def _files(service: dict[str, Any]) -> Iterator[str]:
    for volume in service.get("volumes", []):
        source, *rest = volume.split(":")
        if source.startswith(".") and not (FILE.parent / source).exists():
            yield f"{source} is not there"
        if source.startswith(".") and rest[-1] != "ro":
            yield f"{source} may be written to"


def _exposed(service: dict[str, Any]) -> Iterator[str]:
    for port in service.get("ports", []):
        if not port.startswith("127.0.0.1:"):
            yield f"{port} is open to the network"
    if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
        yield "it may write to its root, or has rights that it does not need"
    if service.get("network_mode") or service.get("privileged"):
        yield "it is not contained"


def _written_down(service: dict[str, Any]) -> Iterator[str]:
    image = service["image"]
    if ":" not in image or image.endswith(":latest"):
        yield f"{image} has no version"
    for name, value in service.get("environment", {}).items():
        if _SECRET.search(name) and not _REQUIRED.search(str(value)):
            yield f"{name} is written down, or may be empty"


def main() -> None:
    """Check compose.yaml; the exit code judges."""
    found = list(faults(yaml.safe_load(FILE.read_text())["services"]))
    print("\n".join(found) or "compose.yaml holds.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
