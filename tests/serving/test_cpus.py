"""How many processes a host is worth."""

import os
from pathlib import Path

import pytest

from service.serving.cpus import usable_cpus

_ALL = len(os.sched_getaffinity(0))


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", _ALL), ("50000 100000", 1), ("150000 100000", 2), ("100000000 100000", _ALL)]
)
def test_a_quota_of_version_2_is_rounded_up_and_never_more_than_there_are(
    tmp_path: Path, quota: str, expected: int
) -> None:
    own = tmp_path / "own"
    own.write_text("0::/system.slice/rowhouse.service\n")
    write(tmp_path / "cgroup" / "system.slice" / "rowhouse.service", cpu__max=f"{quota}\n")
    assert usable_cpus(tmp_path / "cgroup", own) == min(expected, _ALL)


def test_the_quota_of_a_group_above_holds_too(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    write(tmp_path / "cgroup" / "a", cpu__max="100000 100000\n")
    write(tmp_path / "cgroup" / "a" / "b", cpu__max="max 100000\n")
    assert usable_cpus(tmp_path / "cgroup", own) == 1


def test_a_container_that_sees_the_path_of_its_host_finds_its_quota_at_the_root(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/kubepods/pod1/container\n")
    write(tmp_path / "cgroup", cpu__max="100000 100000\n")
    assert usable_cpus(tmp_path / "cgroup", own) == 1


@pytest.mark.parametrize("name", ["cpu,cpuacct", "cpu"])
def test_version_1(tmp_path: Path, name: str) -> None:
    own = tmp_path / "own"
    own.write_text("9:name=systemd:/\n4:cpu,cpuacct:/docker/1\n0::/\n")
    write(tmp_path / "cgroup" / name / "docker" / "1", cpu__cfs_quota_us="100000\n", cpu__cfs_period_us="100000\n")
    write(tmp_path / "cgroup" / name, cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    assert usable_cpus(tmp_path / "cgroup", own) == 1


def test_without_control_groups_it_is_what_it_may_run_on(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "none", tmp_path / "none") == _ALL
