"""Several processes that count for one service, with PROMETHEUS_MULTIPROC_DIR.

prometheus_client keeps what each process counts in files that are mapped into memory: what was counted is there also
after `kill -9`, and whoever is scraped adds the files up. It leaves the files of dead processes, which grow without
end where workers come and go; here they are added to one file, at once for whoever reads.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import values
from prometheus_client.core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from service.observability.metrics import exemplars

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_KINDS = ("counter", "histogram", "summary")
_LOCK = "lock"
# In the place of a process: what the dead have counted.
_DEAD = 0


def directory() -> Path | None:
    """Where the processes count; None where there is one that counts for itself."""
    name = os.environ.get(_VARIABLE)
    return Path(name) if name else None


def make_directory() -> None:
    if (folder := directory()) is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def begin_service() -> None:
    """Forget what a service before this one has counted there. For the parent of the workers, before the first starts.

    Raises:
        RuntimeError: the variable was not set when prometheus_client was imported, which is when it decides.
    """
    folder = directory()
    if folder is None or not values.ValueClass._multiprocess:
        raise RuntimeError(f"{_VARIABLE} must be set before anything of Rowhouse is imported.")
    make_directory()
    for pattern in ("*.db", "*.json"):
        for path in folder.glob(pattern):
            path.unlink()


def forget_worker(pid: int) -> None:
    """A process has ended, in whatever way: its gauges go, and what it counted stays. For the parent of the workers."""
    folder = directory()
    if folder is None:
        return
    with _locked(folder, fcntl.LOCK_EX):
        mark_process_dead(pid, str(folder))
        exemplars.path_of(folder, pid).unlink(missing_ok=True)
        for kind in _KINDS:
            _add(folder / f"{kind}_{pid}.db", folder / f"{kind}_{_DEAD}.db")


def families(folder: Path) -> list[Metric]:
    """What all processes have counted."""
    with _locked(folder, fcntl.LOCK_SH):
        return list(MultiProcessCollector.merge([str(path) for path in folder.glob("*.db")]))


def _add(dead: Path, all_dead: Path) -> None:
    if not dead.exists():
        return
    sums = MmapedDict(str(all_dead))
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(dead)):
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    finally:
        sums.close()
    dead.unlink()


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, how)
        yield
