"""CSV files into a table, by the requests of the page's script."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from service.admin.csv_file import read_beginning
from service.core.errors import InvalidBody
from service.core.types import Role
from tests.admin.conftest import MakeOperator, Operator
from tests.conftest import Database
from tests.service_under_test import Service, run_service

_TABLE = "/admin/airlines"


@pytest.fixture(autouse=True)
def clean(database: Database) -> Iterator[None]:
    """Codes of tests begin with y; the rows of others stay."""
    database.execute("delete from airlines where carrier like 'y%'")
    yield
    database.execute("delete from airlines where carrier like 'y%'")


class Importer:
    """What the page does with one file."""

    def __init__(self, operator: Operator, data: bytes, table: str = _TABLE) -> None:
        self.operator, self.data, self.table = operator, data, table
        self.headers = {"x-csrf-token": operator.csrf, "accept": "application/json", "content-type": "text/csv"}

    def preview(self) -> dict[str, Any]:
        answer = self.operator.http.post(f"{self.table}/preview?whole=1", content=self.data, headers=self.headers)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def run(self, status: int = 200, columns: list[str] | None = None, **given: str) -> dict[str, Any]:
        begun = self.preview()
        matched = columns if columns is not None else [one["matched"] or "" for one in begun["columns"]]
        query = {name: str(begun[name]) for name in ("charset", "delimiter", "skip")}
        query |= {"columns": json.dumps(matched)} | given
        answer = self.operator.http.post(f"{self.table}/import", params=query, content=self.data, headers=self.headers)
        assert answer.status_code == status, answer.text
        told: dict[str, Any] = answer.json()
        return told


def names(database: Database) -> dict[str, str]:
    return {row["carrier"]: row["name"] for row in database.execute("select * from airlines where carrier like 'y%'")}


def test_columns_are_matched_by_their_names_and_can_be_changed(admin: Operator, database: Database) -> None:
    importer = Importer(admin, b"Name,CARRIER,Remark\nOne,yA,x\nTwo,yB,y\n")
    told = importer.preview()
    assert [one["matched"] for one in told["columns"]] == ["name", "carrier", None]
    assert told["rows"] == [["One", "yA", "x"], ["Two", "yB", "y"]]
    importer.run(columns=["", "carrier", "name"])
    assert names(database) == {"yA": "x", "yB": "y"}


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ('carrier,name\nyA,"Ä, b""c\nd"\n', "utf-8-sig"),
        ('carrier;name\r\nyA;"Ä, b""c\nd"\r\n', "utf-8"),
        ('carrier\tname\nyA\t"Ä, b""c\nd"', "utf-16"),
        ('carrier;name\nyA;"Ä, b""c\nd"\n', "windows-1252"),
    ],
)
def test_files_of_spreadsheets_are_read(admin: Operator, database: Database, text: str, charset: str) -> None:
    assert Importer(admin, text.encode(charset)).run()["summary"]["written"] == 1
    assert names(database) == {"yA": 'Ä, b"c\nd'}


def test_a_dry_run_lists_what_is_wrong_and_keeps_nothing(admin: Operator, database: Database) -> None:
    importer = Importer(admin, b"carrier,name\nyA,One\nyA,Twice\nyB\nUA,There\n")
    summary = importer.run(dry="1")["summary"]
    assert (summary["inserted"], summary["kept"]) == (1, False)
    assert [(one["row"], one["column"]) for one in summary["rejected"]] == [(3, "carrier"), (4, None), (5, "carrier")]
    assert summary["rejected"][2]["value"] == "UA"
    assert names(database) == {}


def test_all_or_nothing_and_rows_left_out_up_to_a_bound(admin: Operator, database: Database) -> None:
    importer = Importer(admin, b"carrier,name\nyA,One\nUA,There\nyB,Two\nUA,Again\n")
    told = importer.run(409)
    assert told["rejected"][0]["row"] == 3
    assert names(database) == {}
    assert len(importer.run(400, most="1")["rejected"]) == 2
    assert names(database) == {}
    assert importer.run(most="2")["summary"]["inserted"] == 2
    assert names(database) == {"yA": "One", "yB": "Two"}


def test_rows_that_are_there_are_changed_or_left(admin: Operator, database: Database) -> None:
    Importer(admin, b"carrier,name\nyA,One\n").run()
    more = Importer(admin, b"carrier,name\nyA,Other\nyB,Two\n")
    key = json.dumps(["carrier"])
    assert more.run(mode="skip", conflict=key)["summary"]["written"] == 1
    assert names(database) == {"yA": "One", "yB": "Two"}
    assert more.run(mode="upsert", conflict=key)["summary"]["written"] == 2
    assert names(database) == {"yA": "Other", "yB": "Two"}


@pytest.fixture
def worker(database: Database, service: Service) -> Iterator[None]:
    """A worker, inside another process of the service."""
    environment = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "JOBS_INSIDE": "true"}
    with run_service(environment, service.keys):
        yield


def test_a_worker_imports_it_and_tells_how_far_it_is(
    admin: Operator, operators: MakeOperator, database: Database, worker: None
) -> None:
    done = Importer(admin, b"carrier,name\nyA,One\n").run(job="1")["job"]["id"]
    assert ended(admin, done)["summary"]["inserted"] == 1
    assert names(database) == {"yA": "One"}
    operators(Role.EDITOR).get(f"{_TABLE}/import-job?id={done}", 404)
    failed = Importer(admin, b"carrier,name\nUA,There\n").run(job="1")["job"]["id"]
    assert ended(admin, failed)["rejected"][0]["row"] == 2


def ended(operator: Operator, job: str) -> dict[str, Any]:
    """What is told of a job once it has ended."""
    deadline = time.monotonic() + 60
    while True:
        told: dict[str, Any] = operator.get(f"{_TABLE}/import-job?id={job}").json()
        if told["is_done"]:
            return told
        assert time.monotonic() < deadline, told
        time.sleep(0.1)


def test_a_file_larger_than_other_bodies_streams_through(admin: Operator, database: Database) -> None:
    filler = "x" * 1000
    lines = [f"y{number:05},{filler}\n" for number in range(11_000)]
    data = ("carrier,name\n" + "".join(lines)).encode()
    assert len(data) > 10 * 2**20
    importer = Importer(admin, data)
    query = {"columns": '["carrier", ""]', "charset": "utf-8", "delimiter": ",", "skip": "13", "dry": "1"}
    answer = admin.http.post(f"{_TABLE}/import", params=query, content=data, headers=importer.headers)
    assert answer.status_code in (200, 400)
    assert "larger" not in answer.text
    assert admin.http.post(f"{_TABLE}/create", content=data, headers=importer.headers).status_code == 413
    for path in ("airlines/edit", "airlines/cell", "-/users", "admin/edit"):
        answer = admin.http.post(f"/admin/{path}/import", content=data, headers=importer.headers)
        assert answer.status_code == 413, path


def test_a_quote_that_does_not_end_does_not_fill_the_memory(admin: Operator) -> None:
    data = b'carrier;name\n"' + b"x" * (17 * 2**20)
    headers = {"x-csrf-token": admin.csrf, "accept": "application/json", "content-type": "text/csv"}
    query = {"columns": '["carrier"]', "charset": "utf-8", "delimiter": ";", "skip": "13"}
    answer = admin.http.post(f"{_TABLE}/import", params=query, content=data, headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "A record of the file is too long, or its quote does not end.",
    )


def test_viewers_and_other_sites_import_nothing(admin: Operator, operators: MakeOperator, database: Database) -> None:
    viewer = operators(Role.VIEWER)
    viewer.get(f"{_TABLE}/import", 403)
    headers = {"x-csrf-token": viewer.csrf, "content-type": "text/csv", "accept": "application/json"}
    query = {"columns": '["carrier"]', "charset": "utf-8", "delimiter": ",", "skip": "0"}
    assert viewer.http.post(f"{_TABLE}/import", params=query, content=b"yA\n", headers=headers).status_code == 403
    assert admin.http.post(f"{_TABLE}/import", params=query, content=b"yA\n").status_code == 403
    assert viewer.http.post(f"{_TABLE}/preview", content=b"a\n1\n", headers=headers).status_code == 403
    assert names(database) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"columns": '["nothing"]'}, {"columns": "["}, {"columns": '["carrier", "carrier"]'}, {"columns": '[""]'},
        {"mode": "drop"}, {"most": "-1"}, {"charset": "rot13"}, {"delimiter": "x"}, {"skip": "-1"}, {"conflict": "{}"},
        {"most": "9" * 5000}, {"skip": "9" * 5000}, {"most": "٣"}, {"skip": "٣"},
    ],
)  # fmt: skip
def test_what_no_page_asks_for_is_a_clear_error(admin: Operator, change: dict[str, str]) -> None:
    query = {"columns": '["carrier"]', "charset": "utf-8", "delimiter": ",", "skip": "8"} | change
    headers = {"x-csrf-token": admin.csrf, "accept": "application/json", "content-type": "text/csv"}
    answer = admin.http.post(f"{_TABLE}/import", params=query, content=b"carrier\nyA\n", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["message"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"PK\x03\x04\x00\x00", b'"open\n'])
def test_what_is_no_csv_says_so(data: bytes) -> None:
    with pytest.raises(InvalidBody):
        read_beginning(data, is_whole=not data.startswith(b'"'))
