"""Whether systemd understands the units, and how much of a host they could do harm to.

    python -m deploy.systemd.check

Nothing is installed or started. What the units execute need not be there.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.kubernetes.check import NOT_RUN

_UNITS = Path(__file__).parent
# What systemd calls exposure, in tenths: 0 is none at all, 100 is all. A service with a network cannot be much lower.
_MOST_EXPOSED = 20


def check() -> int:
    """The number of faults."""
    if shutil.which("systemd-analyze") is None:
        sys.stdout.write("systemd-analyze is not installed\n")
        return 1 if "CI" in os.environ else NOT_RUN
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        units = sorted([*_UNITS.glob("*.service"), *_UNITS.glob("*.socket")])
        copies = [Path(name) / unit.name for unit in units]
        for unit, copy in zip(units, copies, strict=True):
            copy.write_text(re.sub(r"^(ExecStart=)\S+", r"\1/bin/true", unit.read_text(), flags=re.MULTILINE))
        verified = _run("verify", "--man=no", *map(str, copies))
        said = [line for line in (verified.stdout + verified.stderr).splitlines() if name in line or "rowhouse" in line]
        failures += bool(verified.returncode or said)
        for copy in copies:
            if copy.suffix == ".service":
                judged = _run("security", "--offline=true", f"--threshold={_MOST_EXPOSED}", "--no-pager", str(copy))
                failures += bool(judged.returncode)
                said += judged.stdout.strip().splitlines()[-1:] or [judged.stderr]
    sys.stdout.write("\n".join(said).replace("→ ", "") + "\n")
    return failures


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)  # noqa: S603, S607


if __name__ == "__main__":
    sys.exit(check())
