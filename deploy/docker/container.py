"""Containers as Kubernetes and compose run them: by number, without capabilities, on a root that cannot be written.

They share the machine's network, so that they reach a PostgreSQL on loopback.
"""

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, Popen

from deploy.docker.stand_in import Image

_MEMORY = 512 * 2**20  # as the manifests limit it
_CAPABILITIES = ("bounding", "effective", "permitted", "inheritable", "ambient")


@dataclass(frozen=True, slots=True)
class Runc:
    """Runs containers of the image whose files are at `root`."""

    image: Image
    root: Path
    folder: Path

    def run(self, name: str, environment: Mapping[str, str], *arguments: str) -> CompletedProcess[str]:
        """Run a command of the image's entry point to its end."""
        command = self._prepared(name, environment, arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def start(self, name: str, environment: Mapping[str, str], *arguments: str) -> "Container":
        command = self._prepared(name, environment, arguments or tuple(self.image.command))
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = Popen(command, stdout=output, stderr=output, start_new_session=True)
        return Container(self, name, process, log)

    def control(self, *arguments: str) -> CompletedProcess[str]:
        command = ["runc", "--root", str(self.folder / "runc"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def _prepared(self, name: str, environment: Mapping[str, str], arguments: tuple[str, ...]) -> list[str]:
        bundle = self.folder / f"{name}.bundle"
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(self._config(environment, arguments)))
        return ["runc", "--root", str(self.folder / "runc"), "run", "--bundle", str(bundle), name]

    def _config(self, environment: Mapping[str, str], arguments: tuple[str, ...]) -> dict[str, object]:
        """The OCI runtime's configuration (opencontainers/runtime-spec, config.md)."""
        user, group = map(int, self.image.user.split(":"))
        variables = [*self.image.environment, *(f"{name}={value}" for name, value in environment.items())]
        no_more = ["nosuid", "nodev", "noexec"]
        return {
            "ociVersion": "1.0.2",
            "root": {"path": str(self.root), "readonly": True},
            "process": {
                "user": {"uid": user, "gid": group},
                "cwd": self.image.working_dir,
                "args": [*self.image.entrypoint, *arguments],
                "env": variables,
                "noNewPrivileges": True,
                "capabilities": {kind: [] for kind in _CAPABILITIES},
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [*no_more, "size=64m"]},
            ],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
                "resources": {"memory": {"limit": _MEMORY}},
            },
        }


@dataclass(frozen=True, slots=True)
class Container:
    """A running container."""

    runc: Runc
    name: str
    process: "Popen[bytes]"
    log: Path

    def execute(self, *arguments: str) -> CompletedProcess[str]:
        """Run a command beside what runs there."""
        return self.runc.control("exec", self.name, *arguments)

    def megabytes(self) -> float:
        """The memory that all of it holds (resident; files that it has read are not counted)."""
        events = self.runc.control("events", "--stats", self.name)
        return float(json.loads(events.stdout)["data"]["memory"]["raw"]["total_rss"]) / 2**20

    def stop(self) -> tuple[float, int]:
        """Send SIGTERM to the first process alone. The seconds until it has ended, and its exit code."""
        started = time.monotonic()
        self.runc.control("kill", self.name, "TERM")
        try:
            code = self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.runc.control("kill", self.name, "KILL")
            code = self.process.wait(timeout=10)
        return time.monotonic() - started, code
