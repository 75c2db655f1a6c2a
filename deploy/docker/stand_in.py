"""Builds the image where there is no Docker and no registry of images.

buildah takes the steps of the Dockerfile itself, over a base of the same name that is made of Debian's packages.

The base has Debian's Python where the real one has its own build; all else is as it will be.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCKERFILE = Path(__file__).with_name("Dockerfile")
IMAGE = "localhost/rowhouse:trial"
NEEDED = ("buildah", "mmdebstrap", "runc")
_TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True)
class Image:
    """What the image says of itself, its size, and how much of that is the base's."""

    user: str
    entrypoint: list[str]
    command: list[str]
    environment: list[str]
    working_dir: str
    health: list[str]
    megabytes: float
    base_megabytes: float


@dataclass(frozen=True, slots=True)
class Buildah:
    """buildah with images of its own in `folder`."""

    folder: Path

    def run(self, *arguments: str | Path, quiet: bool = True) -> str:
        command = ["buildah", "--root", self.folder / "images", "--runroot", self.folder / "run", *arguments]
        environment = os.environ | {"STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"}
        finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE if quiet else None, text=True)
        if finished.returncode:
            raise SystemExit(f"buildah {arguments[0]} failed.")
        return (finished.stdout or "").strip()

    def config(self, image: str) -> dict[str, Any]:
        """What Docker would run it by."""
        config: dict[str, Any] = json.loads(self.run("inspect", "--type", "image", image))["Docker"]["config"]
        return config

    def megabytes(self, image: str) -> float:
        """With all layers, unpacked."""
        size = self.run("images", "--format", "{{.Size}}", image)
        number, unit = size.split()
        return float(number) * {"MB": 1, "GB": 1000}[unit]


def base_image() -> str:
    """The name that the Dockerfile's FROM asks for."""
    tag = re.search(r"^ARG PYTHON=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert tag is not None
    return f"docker.io/library/python:{tag[1]}"


def make_base(buildah: Buildah) -> None:
    """Debian's Python of the base's version, at /usr/local, with pip as the real one has it."""
    name = base_image()
    suite = name.rpartition("-")[2]
    root = buildah.folder / "base.tar"
    packages = "python3,python3-venv,ca-certificates"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", suite, root], check=True)
    container = buildah.run("from", "scratch")
    buildah.run("add", "--quiet", container, root, "/")
    root.unlink()
    buildah.run("run", container, "--", "python3", "-m", "venv", "/usr/local")
    version = buildah.run("run", container, "--", "/usr/local/bin/python", "--version")
    wanted = name.partition(":")[2].rpartition(".")[0]
    if not version.startswith(f"Python {wanted}."):
        raise SystemExit(f"Debian {suite} has {version}; the Dockerfile wants {wanted}.")
    buildah.run("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", container)
    buildah.run("commit", "--quiet", container, name)
    buildah.run("rm", container)


def build(buildah: Buildah) -> Image:
    """Take every step of the Dockerfile. Packages come from where this machine has them from."""
    trust = buildah.folder / "uv"
    trust.mkdir(exist_ok=True)
    (trust / "uv.toml").write_text("system-certs = true\n")
    buildah.run(
        "bud", "--pull-never", "--format=docker", "--no-cache", "--layers=false", "--file", DOCKERFILE,
        "--ignorefile", f"{DOCKERFILE}.dockerignore", "--volume", f"{_TRUSTED}:{_TRUSTED}:ro",
        "--volume", f"{trust}:/etc/uv:ro", "--tag", IMAGE, ROOT, quiet=False,
    )  # fmt: skip
    config = buildah.config(IMAGE)
    return Image(
        user=config["User"],
        entrypoint=config["Entrypoint"],
        command=config["Cmd"],
        environment=config["Env"],
        working_dir=config["WorkingDir"],
        health=config["Healthcheck"]["Test"][1:],
        megabytes=buildah.megabytes(IMAGE),
        base_megabytes=buildah.megabytes(base_image()),
    )


def missing() -> list[str]:
    """The programs that are not there."""
    return [program for program in NEEDED if shutil.which(program) is None]
