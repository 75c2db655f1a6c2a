"""`rowhouse export`, as a process of its own."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.cli.test_commands import rowhouse
from tests.conftest import Database


@pytest.mark.parametrize("ending", ["csv", "ndjson", "json", "arrows", "parquet"])
def test_the_ending_chooses_the_format(database: Database, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"few.{ending}"
    done = rowhouse(
        database, "export", "airlines", str(file),
        "--select", "carrier", "--filter", "carrier=in.(UA,AA)", "--filter", "name=like.*Air*", "--order", "carrier",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "2 rows of airlines" in " ".join(done.stderr.split())
    body = file.read_bytes()
    readers: dict[str, Callable[[], list[str]]] = {
        "csv": lambda: body.decode().splitlines()[1:],
        "ndjson": lambda: [json.loads(line)["carrier"] for line in body.splitlines()],
        "json": lambda: json.loads(body)["carrier"],
        "arrows": lambda: pa.ipc.open_stream(body).read_all()["carrier"].to_pylist(),
        "parquet": lambda: parquet.read_table(file)["carrier"].to_pylist(),
    }
    assert readers[ending]() == ["AA", "UA"]


def test_a_whole_table_is_written(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "flights.parquet"
    assert rowhouse(database, "export", "flights", str(file)).returncode == 0
    assert parquet.read_metadata(file).num_rows == 336_776


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["airlines", "few.xlsx"], "must end with"),
        (["airlines", "nowhere/few.csv"], "cannot be written: No such file or directory"),
        (["no_such_table", "few.csv"], "no_such_table"),
        (["airlines", "few.csv", "--filter", "carrier"], "is no filter"),
        (["airlines", "few.csv", "--filter", "nme=eq.x"], "nme"),
        (["flights", "few.csv", "--filter", "id=eq.x"], "bigint"),
    ],
)
def test_what_goes_wrong_leaves_no_file(database: Database, tmp_path: Path, arguments: list[str], said: str) -> None:
    table, name, *rest = arguments
    done = rowhouse(database, "export", table, str(tmp_path / name), *rest)
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert list(tmp_path.iterdir()) == []
