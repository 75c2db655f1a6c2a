"""The example `rowhouse.conf` on loopback: for `nginx -t`, for tests and for load runs.

    python -m deploy.nginx.trial

What is changed is what every operator changes: servers, ports, name and certificate.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from deploy.kubernetes.check import NOT_RUN

_EXAMPLE = Path(__file__).with_name("rowhouse.conf")
_MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
worker_processes 2;
events {{ worker_connections 4096; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/rowhouse.conf;
}}
"""
_START_SECONDS = 10.0
_PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"  # where it is, and users do not look


@dataclass(frozen=True, slots=True)
class Trial:
    """nginx in a folder. `authority` is the file of the certificate that its own is signed by."""

    folder: Path
    port: int
    plain_port: int
    authority: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def errors(self) -> list[str]:
        """What it complained of."""
        lines = (self.folder / "error.log").read_text().splitlines()
        return [line for line in lines if re.search(r"\[(warn|error|crit|alert|emerg)\]", line)]


def write(folder: Path, port: int, plain_port: int, servers: Sequence[int], prefix: str = "") -> Trial:
    """Write the configuration and a certificate into the folder; servers are ports on loopback."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate.private_key_pem.write_to_path(folder / "rowhouse.key")
    for part in certificate.cert_chain_pems:
        part.write_to_path(folder / "rowhouse.pem", append=True)
    text = _EXAMPLE.read_text()
    example_servers = re.findall(r"^ +server 127\.0\.0\.1:\d+(.*);\n", text, re.MULTILINE)
    text = re.sub(r"(^ +server 127\.0\.0\.1:\d+.*;\n)+", "@SERVERS@", text, flags=re.MULTILINE)
    text = text.replace(
        "@SERVERS@", "".join(f"    server 127.0.0.1:{server}{example_servers[0]};\n" for server in servers)
    )
    text = re.sub(r"^ +listen \[::\].*\n", "", text, flags=re.MULTILINE)
    text = text.replace("listen 80;", f"listen 127.0.0.1:{plain_port};").replace(
        "listen 443", f"listen 127.0.0.1:{port}"
    )
    text = text.replace("/etc/ssl/certs/", f"{folder}/").replace("/etc/ssl/private/", f"{folder}/")
    if prefix:
        text = text.replace("location / {", f"location {prefix}/ {{").replace("= /metrics", f"= {prefix}/metrics")
    (folder / "rowhouse.conf").write_text(text)
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder))
    return Trial(folder, port, plain_port, folder / "authority.pem")


@contextmanager
def running(trial: Trial) -> Iterator[Trial]:
    """nginx, until the block ends."""
    process = subprocess.Popen(_command(trial.folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not (trial.folder / "nginx.pid").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx does not start: {(trial.folder / 'error.log').read_text()}")
            time.sleep(0.02)
        yield trial
    finally:
        process.terminate()
        process.wait(10)


def _command(folder: Path, *arguments: str) -> list[str]:
    return [
        shutil.which("nginx", path=_PATH) or "nginx",
        "-e",
        f"{folder}/error.log",
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        *arguments,
    ]


def check() -> int:
    """0 where nginx takes the example without a warning."""
    if shutil.which("nginx", path=_PATH) is None:
        sys.stdout.write("nginx is not installed\n")
        return 1 if "CI" in os.environ else NOT_RUN
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, 18443, 18080, (18001, 18002))
        answer = subprocess.run(_command(folder, "-t"), capture_output=True, text=True)  # noqa: S603
    sys.stdout.write(answer.stderr.replace(f"{folder}/", ""))
    return answer.returncode or int("[warn]" in answer.stderr)


if __name__ == "__main__":
    sys.exit(check())
