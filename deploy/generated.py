"""What is generated from the code and must stay in step with it.

    python -m deploy.generated            write it anew
    python -m deploy.generated --check    fail if something is out of step

`manifest.json` (Posit Connect), `.env.example`, the table of settings in `README.md`, rules of Prometheus and
their tests, also as its operator reads them, and dashboards of Grafana.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from deploy.grafana.dashboards import DASHBOARDS
from deploy.kubernetes.prometheus_rule import prometheus_rule
from deploy.prometheus.rule_tests import rule_tests
from deploy.prometheus.rules import rules
from service.core.settings import SECTIONS

ROOT = Path(__file__).parents[1]
_TABLE = re.compile(r"(<!-- settings: generated -->\n).*?(<!-- /settings -->)", re.DOTALL)
# What the service needs to run on Posit Connect, and nothing else.
_PUBLISHED = (
    *("service", "migrations", "pyproject.toml", "requirements.txt"),
    *(":!service/docs", ":!migrations/README.md", ":!migrations/script.py.mako"),
)


def env_example() -> str:
    """`.env.example`: every setting, its description and default, commented out."""
    lines = ["# Copy to .env and set what differs. Never commit .env.", ""]
    for section in SECTIONS:
        lines += [f"# {section.__doc__}", ""]
        for name, field in section.model_fields.items():
            lines += [f"# {field.description}", f"#{name.upper()}={_default(field)}", ""]
    return "\n".join(lines)


def readme() -> str:
    """`README.md` with the table of settings as the code has it."""
    text = (ROOT / "README.md").read_text()
    rows = ["| setting | default | what it does |", "|---|---|---|", *_rows()]
    return _TABLE.sub(lambda match: match[1] + "\n".join(rows) + "\n" + match[2], text)


def manifest() -> str:
    """`manifest.json` as the vendor's own tool writes it, without what depends on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        for path in _tracked():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, Path(folder) / path)
        command = ["write-manifest", "fastapi", "--overwrite", "--entrypoint", "service.main:app", folder]
        subprocess.run(  # noqa: S603 (our own arguments)
            [Path(sys.executable).with_name("rsconnect"), *command], check=True, capture_output=True
        )
        written = json.loads((Path(folder) / "manifest.json").read_text())
    written["locale"] = "en_US.UTF-8"
    written["python"]["version"] = "3.11.0"
    written["python"]["package_manager"].pop("version")
    # The tool's own sum is of the requirements without their indents, which it never sends.
    content = (ROOT / "requirements.txt").read_bytes()
    written["files"]["requirements.txt"]["checksum"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return json.dumps(written, indent=2) + "\n"


def _tracked() -> list[str]:
    listed = subprocess.run(  # noqa: S603 (our own arguments)
        ["git", "ls-files", "--", *_PUBLISHED],  # noqa: S607
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [path for path in listed.stdout.splitlines() if (ROOT / path).exists()]


def _rows() -> Iterator[str]:
    for section in SECTIONS:
        for name, field in section.model_fields.items():
            yield f"| `{name.upper()}` | {f'`{_default(field)}`' if _default(field) else '-'} | {field.description} |"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == () or isinstance(value, SecretStr):
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def stale(wanted: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """What those files should hold that hold something else, by their names."""
    made = {name: make() for name, make in wanted.items()}
    return {
        name: text for name, text in made.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != text
    }


def main() -> None:
    """Write, or with `--check` compare."""
    wanted: dict[str, Callable[[], str]] = {
        ".env.example": env_example,
        "README.md": readme,
        "manifest.json": manifest,
        "deploy/prometheus/rules.yml": rules,
        "deploy/prometheus/rules.test.yml": rule_tests,
        "deploy/kubernetes/overlays/production/prometheus-rule.yaml": prometheus_rule,
    }
    wanted |= {f"deploy/grafana/json/{one.uid}.json": one.as_json for one in DASHBOARDS}
    found = stale(wanted)
    if found and "--check" in sys.argv:
        sys.exit(f"Out of step with the code: {', '.join(found)}. Run `make generated` and commit.")
    for name, text in found.items():
        (ROOT / name).write_text(text)
    print("Written: " + ", ".join(found) if found else "Everything generated is in step.")  # noqa: T201


if __name__ == "__main__":
    main()
