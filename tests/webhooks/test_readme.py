"""The README's webhook works as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from deploy.ports import free_port
from service.core.types import Role
from tests.conftest import Database
from tests.service_under_test import run_service

_SECTION = re.compile(r"## Webhooks\n(.*?)\n## ", re.DOTALL)
_ALLOWING = re.compile(r"^    ((?:WEBHOOK_\w+=\S+ )+)make demo$", re.MULTILINE)
_PORT = "9000"


def test_the_webhook_of_the_readme_arrives(database: Database, keys: dict[Role, str], tmp_path: Path) -> None:
    port = str(free_port())
    section = _SECTION.search((Path(__file__).parents[2] / "README.md").read_text())
    assert section is not None
    text = section[1].replace(_PORT, port)
    [receiver] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    [commands] = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    [allowing] = _ALLOWING.findall(text)
    (tmp_path / "receiver.py").write_text(receiver)
    # What the reader sees: the receiver is in the background of their shell, and told to end when this one has had it.
    script = f"{commands}\nfor _ in $(seq 300); do grep -q flights seen && break; sleep 0.1; done; kill $!"
    environment = dict(one.split("=", 1) for one in allowing.split())
    in_the_demo = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "JOBS_INSIDE": "true", **environment}
    (before,) = database.execute("select arr_delay from flights where id = 1")
    try:
        with run_service(in_the_demo, keys) as demo:
            ran = subprocess.run(
                ["bash", "-c", script.replace("receiver.py &", "receiver.py > seen &")],
                env={
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "A": f"{demo.url}/api/v1",
                    "KEY": keys[Role.EDITOR],
                },
                cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
    finally:
        database.execute("update flights set arr_delay = $1 where id = 1", before[0])
        database.execute("delete from rowhouse.webhooks")
    assert (tmp_path / "seen").read_text() == commands.rpartition("# ")[2], ran.stderr
