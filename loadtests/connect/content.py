"""Content as Connect runs it: a bundle in a folder, an environment for it, a process under its entry point."""

import asyncio
import hashlib
import json
import os
import tarfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import Any

from deploy.ports import free_port

START_SECONDS = 60  # as long as Connect waits by default
_STEP_SECONDS = 0.05
# Makes an environment from a folder's requirements, tells how it goes, and returns its Python.
Install = Callable[[Path, Callable[[str], None]], Awaitable[Path]]


class Refused(Exception):
    """The server does not do that; its message is for who publishes."""


@dataclass(slots=True)
class Bundle:
    """What was uploaded, unpacked."""

    id: str
    folder: Path
    manifest: dict[str, Any]
    python: Path | None = None
    process: asyncio.subprocess.Process | None = None
    port: int = 0
    started_in: float = 0.0

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")


@dataclass(slots=True)
class Content:
    """One piece of content, its variables, its bundles, and the one that all see."""

    guid: str
    name: str
    title: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    bundles: dict[str, Bundle] = field(default_factory=dict)
    active: str | None = None
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def unpack(self, archive: bytes, parent: Path) -> Bundle:
        """Keep a bundle, every file of which is as its manifest says.

        Raises:
            Refused: it is not.
        """
        number = str(len(self.bundles) + 1)
        folder = parent / f"{self.guid}-{number}"
        with tarfile.open(fileobj=BytesIO(archive), mode="r:gz") as files:
            files.extractall(folder, filter="data")
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, told in manifest["files"].items():
            found = hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()
            if found != told["checksum"]:
                raise Refused(f"{name} is not what the manifest says.")
        if manifest["metadata"]["appmode"] != "python-fastapi":
            raise Refused("This stand-in runs FastAPI alone.")
        self.bundles[number] = Bundle(number, folder, manifest)
        return self.bundles[number]

    async def run(self, bundle: Bundle, server: str) -> None:
        """Start the bundle's process where it does not run, and wait until it listens.

        Raises:
            Refused: it ended, or took too long.
        """
        async with self.starting:
            if bundle.process is not None and bundle.process.returncode is None:
                return
            begun, bundle.port = monotonic(), free_port()
            entrypoint = bundle.manifest["metadata"]["entrypoint"]
            with bundle.log.open("ab") as log:
                bundle.process = await asyncio.create_subprocess_exec(
                    *(str(bundle.python), "-m", "uvicorn", entrypoint, "--host", "127.0.0.1", "--port"),
                    *(str(bundle.port), "--no-access-log"),
                    cwd=bundle.folder,
                    env={
                        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
                        **self.environment,
                        "POSIT_PRODUCT": "CONNECT",
                        "CONNECT_SERVER": server,
                        "CONNECT_CONTENT_GUID": self.guid,
                    },
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            while not await _listens(bundle.port):
                if bundle.process.returncode is not None or monotonic() - begun > START_SECONDS:
                    raise Refused(f"The process did not start:\n{bundle.log.read_text()[-2000:]}")
                await asyncio.sleep(_STEP_SECONDS)
            bundle.started_in = monotonic() - begun

    async def stop(self) -> None:
        """End all processes."""
        for bundle in self.bundles.values():
            if bundle.process is not None and bundle.process.returncode is None:
                with suppress(ProcessLookupError):
                    bundle.process.terminate()
                with suppress(TimeoutError):
                    async with asyncio.timeout(10):
                        await bundle.process.wait()
                if bundle.process.returncode is None:
                    bundle.process.kill()
                    await bundle.process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
