"""How many processors this process may use."""

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cpus(cgroups: Path = _CGROUPS, own_groups: Path = _OWN_GROUPS) -> int:
    """At least one: those that it may run on, or fewer where a quota of a control group lies below them.

    A quota of one and a half is two: the second process is throttled now and then, which is better than half a
    processor that nobody uses.
    """
    quotas = (_quota_of(line, cgroups) for line in _lines(own_groups))
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), *quotas, math.inf)))


def _quota_of(line: str, cgroups: Path) -> float:
    """The smallest quota of a group and those that it lies in. A line is `number:controllers:path`."""
    _, controllers, path = line.split(":", 2)
    if controllers and "cpu" not in controllers.split(","):
        return math.inf
    root = cgroups / controllers if controllers else cgroups
    if controllers and not root.exists():
        root = cgroups / "cpu"
    group = root / path.strip().lstrip("/")
    # Within a container the path may be that of the host: then the group itself is at the root.
    folders = [folder for folder in (group, *group.parents) if folder.is_relative_to(root)]
    return min(_version_2(folder) if not controllers else _version_1(folder) for folder in folders)


def _version_2(folder: Path) -> float:
    """`cpu.max` is quota and period, in microseconds (Linux, cgroup-v2)."""
    for line in _lines(folder / "cpu.max"):
        quota, period = line.split()
        return math.inf if quota == "max" else int(quota) / int(period)
    return math.inf


def _version_1(folder: Path) -> float:
    for quota in _lines(folder / "cpu.cfs_quota_us"):
        for period in _lines(folder / "cpu.cfs_period_us"):
            return math.inf if int(quota) < 0 else int(quota) / int(period)
    return math.inf


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:  # another version, or another system
        return []
