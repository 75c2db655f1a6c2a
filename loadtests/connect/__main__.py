"""`python -m loadtests.connect`"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy import generated
from loadtests.bench.errors import BenchError
from loadtests.connect.checks import CHECKS, Visitor
from loadtests.connect.content import START_SECONDS, Content
from loadtests.connect.stand_in import StandIn, standing_in
from loadtests.load.ground import DATA_DIR, prepared

_KEY = "a publisher's key of this run"
_NOBODY = "postgresql://nobody@127.0.0.1:9/none"  # a port where nothing listens
_messages = Console(stderr=True)
Step = tuple[str, str, bool]


def main(
    data_dir: Annotated[Path, typer.Option(help="Folder of a PostgreSQL of its own; kept.")] = DATA_DIR,
) -> None:
    """Publish to a stand-in for Posit Connect, as `make publish` does, and visit what runs there.

    The vendor's own command uploads the bundle; the stand-in installs its
    requirements in an environment of their own (from the package index, which
    takes a minute), starts its entry point without any bytecode of ours, and
    passes requests on under a prefix and with headers as Connect does.
    """
    steps = asyncio.run(_show(data_dir))
    table = Table("", "", box=SIMPLE_HEAD)
    for name, figure, is_well in steps:
        table.add_row(name, figure if is_well else f"[bold red]{figure}[/]")
    Console().print(table)
    raise typer.Exit(0 if all(is_well for *_, is_well in steps) else 1)


async def _show(data_dir: Path) -> list[Step]:
    steps: list[Step] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="connect-")))
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        progress = stack.enter_context(Progress(*columns, console=_messages, transient=True))
        bar = progress.add_task("", total=None)

        def say(text: str) -> None:
            progress.update(bar, description=text)

        ground = await stack.enter_async_context(prepared(data_dir, say))
        installer = _Installer(folder / "environment", say)
        keys = {_KEY: ground.email}
        stand_in = await stack.enter_async_context(standing_in(folder, keys, installer.install))
        say("Publishing")
        steps.append(await _published(stand_in, folder, {"DATABASE_URL": ground.postgres.service_url}))
        content = next(iter(stand_in.contents.values()))
        (bundle,) = content.bundles.values()
        size = sum(path.stat().st_size for path in bundle.folder.rglob("*.*"))
        steps.append(("its bundle", f"{len(bundle.manifest['files'])} files, {size / 2**20:.1f} MB", True))
        steps.append(("installing what it names", f"{installer.seconds:.0f} s", installer.seconds > 0))
        is_in_time = 0 < bundle.started_in < START_SECONDS
        steps.append(("first start, without bytecode of ours", f"{bundle.started_in:.1f} s", is_in_time))
        visitor = Visitor(f"{stand_in.url}/content/{content.guid}", _KEY, ground.key, ground.email, ground.password)
        for check in CHECKS:
            say(check.__doc__ or "")
            steps.append(await _told((check.__doc__ or "").partition("\n")[0], check(visitor)))
        say("Publishing where the database is down")
        steps.append(await _published(stand_in, folder, {"DATABASE_URL": _NOBODY}, content, "with its database down"))
    return steps


async def _published(
    stand_in: StandIn, home: Path, given: dict[str, str], content: Content | None = None, when: str = ""
) -> Step:
    begun = monotonic()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CONNECT_SERVER": stand_in.url,
        "CONNECT_API_KEY": _KEY,
        "CONNECT_TITLE": "Rowhouse",
        "CONNECT_APP_ID": content.guid if content else "",
        "CONNECT_VARIABLES": "CONNECT_IDENTITY",
        "CONNECT_IDENTITY": "true",
        "JWT_SECRET": token_hex(32),
        **given,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.connect.publish"),
        cwd=generated.ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    name = " ".join(filter(None, ("rsconnect deploy manifest", when)))
    if process.returncode:
        return name, output.decode()[-1500:], False
    return name, f"{monotonic() - begun:.1f} s", True


async def _told(name: str, check: Awaitable[None]) -> Step:
    try:
        await check
    except Exception as error:  # whatever it is, it is what this command is to tell
        return name, f"{type(error).__name__}: {error}"[:300], False
    return name, "yes", True


class _Installer:
    """An environment of the bundle's own, made once, as Connect keeps one for the same requirements."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self.seconds = 0.0

    async def install(self, bundle: Path, say: Callable[[str], None]) -> Path:
        python = self._folder / "bin" / "python"
        if not self.seconds:
            begun = monotonic()
            self._say("Installing what the bundle names")
            uv = str(Path(sys.executable).with_name("uv"))
            await _run(uv, "venv", "--quiet", "--python", sys.executable, str(self._folder))
            requirements = str(bundle / "requirements.txt")
            await _run(uv, "pip", "install", "--quiet", "--python", str(python), "--requirements", requirements)
            self.seconds = monotonic() - begun
        say("Everything is installed.")
        return python


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise BenchError(f"{Path(command[0]).name} {command[1]} failed:\n{output.decode()[-2000:]}")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m loadtests.connect")
