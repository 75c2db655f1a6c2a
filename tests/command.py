"""The `rowhouse` command in a process of its own, forked from one that has imported it: importing it anew takes longer
than most commands.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["service.cli.main"])
_STREAMS = ("stdin", "stdout", "stderr")


def run_rowhouse(
    environment: Mapping[str, str], *arguments: str, stdin: str = "", timeout: float = 60
) -> CompletedProcess[str]:
    """Run the command in this environment alone."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stdin").write_text(stdin)
        process = _PROCESSES.Process(target=_run, args=(str(folder), dict(environment), arguments))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
        said = ((folder / stream).read_text() for stream in _STREAMS[1:])
        return CompletedProcess(arguments, process.exitcode or 0, *said)


def _run(folder: str, environment: Mapping[str, str], arguments: Sequence[str]) -> None:
    from service.cli.main import run

    for number, stream in enumerate(_STREAMS):
        descriptor = os.open(f"{folder}/{stream}", os.O_RDWR | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["rowhouse", *arguments]
    run()
