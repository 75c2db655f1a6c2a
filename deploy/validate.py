"""Checks what operators run, without a network: python -m deploy.validate

A line each, as they end: what, and whether it holds. What a failed check says follows at the end.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rich.console import Console

from deploy.kubernetes.check import NOT_RUN

ROOT = Path(__file__).parents[1]
_OURS = Path(sys.executable).parent
_AT_ONCE = 2
_SECONDS = 300


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "FAILED"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Check:
    """A program with its arguments. `files` are patterns of files that git knows."""

    what: str
    program: str
    arguments: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def command(self) -> list[str] | None:
        """None where the program is not installed."""
        files = _tracked(self.files) if self.files else []
        if self.program.startswith("deploy."):
            return [sys.executable, "-m", self.program, *self.arguments, *files]
        found = shutil.which(self.program, path=f"{_OURS}{os.pathsep}{os.environ['PATH']}")
        return None if found is None else [found, *self.arguments, *files]


@dataclass(frozen=True, slots=True)
class Result:
    check: Check
    outcome: Outcome
    said: str
    seconds: float


_WORKFLOWS = (".github/workflows/*.yaml",)
# What documents and tests show, and no secrets: passwords of servers on loopback, a request's id, the trace id of W3C's
# examples, a webhook's and a token's.
_SHOWN = (
    "secret",
    "guest",
    "6d5c6a0f4c1f",
    "6d5c6a0f4c1f4b0f9d6a",
    "0af7651916cd43dd8448eb211c80319c",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
    "eyJhbGciOiJub25lIn0.e30.",
)
_ANY_SHOWN = "|".join(map(re.escape, _SHOWN))

# The slowest first.
CHECKS = (
    # Passwords in code are ruff's to find (S105 to S107), which knows Python.
    Check(
        "all files: detect-secrets", "detect-secrets-hook",
        ("--no-verify", "--disable-plugin=KeywordDetector", f"--exclude-secrets=^({_ANY_SHOWN})$"),
        (".", ":!requirements*.txt", ":!manifest.json"),
    ),
    Check("new migrations: nothing dangerous", "rowhouse", ("migrate", "--lint")),
    Check("Dockerfile: hadolint", "hadolint", ("--failure-threshold=style",), ("*Dockerfile",)),
    Check(
        "compose.yaml: schema", "check-jsonschema", ("--builtin-schema=vendor.compose-spec",), ("*/compose.yaml",)
    ),
    Check("compose.yaml: files, ports, rights, secrets", "deploy.docker.check_compose"),
    Check("Kubernetes: both overlays, strictly", "deploy.kubernetes.check"),
    Check("nginx: the example, by nginx itself", "deploy.nginx.trial"),
    Check("Prometheus: rules in their cases", "promtool", ("test", "rules", "deploy/prometheus/rules.test.yml")),
    Check(
        "Prometheus: configuration and rules", "promtool",
        ("check", "config", "--lint=all", "deploy/prometheus/prometheus.yml"),
    ),
    Check("systemd: units, and what they are exposed to", "deploy.systemd.check"),
    Check("workflows: schema", "check-jsonschema", ("--builtin-schema=vendor.github-workflows",), _WORKFLOWS),
    Check(
        "workflows: each job has a time limit", "check-jsonschema",
        ("--builtin-schema=custom.github-workflows-require-timeout",), _WORKFLOWS,
    ),
    Check(
        "Dependabot: schema", "check-jsonschema", ("--builtin-schema=vendor.dependabot",), (".github/dependabot.yaml",)
    ),
    Check("workflows: zizmor", "zizmor", ("--offline", "--quiet", "--persona=pedantic", "--no-progress", ".github")),
    Check("shell scripts: shellcheck", "shellcheck", (), ("*.sh", ".ci/*")),
    # What is less than medium ruff has told already.
    Check(
        "the service's code: bandit", "bandit",
        ("--quiet", "--severity-level=medium", "--confidence-level=medium", "--recursive", "service"),
    ),
)  # fmt: skip


def run(check: Check) -> Result:
    """What the check says. In CI, what is not installed has failed; a check of our own says what may be missing."""
    started = time.monotonic()
    command = check.command()
    if command is None:
        missing = Outcome.FAILED if "CI" in os.environ else Outcome.NOT_RUN
        return Result(check, missing, f"{check.program} is not installed", 0)
    finished = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS
    )
    outcome = {0: Outcome.OK, NOT_RUN: Outcome.NOT_RUN}.get(finished.returncode, Outcome.FAILED)
    return Result(check, outcome, finished.stdout.strip(), time.monotonic() - started)


def _tracked(patterns: tuple[str, ...]) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [path for path in listed.stdout.split("\0") if path]


def main() -> None:
    """Run all checks; the exit code judges."""
    console = Console(highlight=False, soft_wrap=True)
    colours = {Outcome.OK: "green", Outcome.FAILED: "red", Outcome.NOT_RUN: "yellow"}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = []
        for done in as_completed([pool.submit(run, check) for check in CHECKS]):
            results.append(result := done.result())
            why = f"  ({result.said})" if result.outcome is Outcome.NOT_RUN else ""
            outcome = f"[{colours[result.outcome]}]{result.outcome:<7}[/]"
            console.print(f"{outcome}  {result.check.what:<46} {result.seconds:5.1f} s{why}")
    failed = [result for result in results if result.outcome is Outcome.FAILED]
    for result in failed:
        console.print(f"\n[red]{result.check.what}[/]")
        console.print(result.said, markup=False)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
