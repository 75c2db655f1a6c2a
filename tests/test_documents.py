"""The documents say what is true: the README's calls give what it shows, and what is generated is in step."""

import os
import re
import subprocess
from pathlib import Path

from deploy import generated
from service.core.settings import SECTIONS
from service.core.types import Role
from service.db.embedded import EmbeddedPostgres
from tests.conftest import copy_database
from tests.service_under_test import make_keys, run_service

ROOT = Path(__file__).parents[1]
_CALLS = re.compile(r"```console\n\$ (.*?)\n(.*?)```", re.DOTALL)
# What differs from run to run.
_VARIABLE = re.compile(r'"[0-9a-f]{8}\.\d+"|"request_id":"[0-9a-f]+"')


def test_the_calls_of_the_readme_give_what_it_shows(
    postgres: EmbeddedPostgres, worker_id: str, shared_folder: Path
) -> None:
    database = copy_database(postgres, f"documents_{worker_id}", shared_folder)  # what others granted is not in it
    keys = make_keys(database.service_url)
    calls = _CALLS.findall((ROOT / "README.md").read_text())
    assert len(calls) == 5
    as_in_the_demo = {"DATABASE_URL": database.service_url, "ANONYMOUS_ROLE": "viewer", "JWT_SECRET": "x" * 40}
    with run_service(as_in_the_demo, keys) as demo:
        environment = {"PATH": os.environ["PATH"], "A": f"{demo.url}/api/v1", "KEY": keys[Role.EDITOR]}
        answers = [_run(command, environment) for command, _ in calls]
    for (command, shown), answer in zip(calls, answers, strict=True):
        assert _VARIABLE.sub("…", answer.strip()) == _VARIABLE.sub("…", shown.strip()), command


def _run(command: str, environment: dict[str, str]) -> str:
    finished = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=90, check=True
    )
    return finished.stdout.replace("\r", "")


def test_what_is_generated_is_in_step() -> None:
    assert (ROOT / ".env.example").read_text() == generated.env_example()
    assert (ROOT / "README.md").read_text() == generated.readme()


def test_every_setting_is_described() -> None:
    for section in SECTIONS:
        for name, field in section.model_fields.items():
            assert field.description, name


def test_decisions_are_numbered_and_name_what_holds_them() -> None:
    records = sorted((ROOT / "service/docs/decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text()
        assert "**Context.**" in text, path.name
        assert "**Held by**" in text, path.name
