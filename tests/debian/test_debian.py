"""What Debian's PostgreSQL 15 has and the embedded one has not is served like all else: listed, filtered, read by its
key, written and counted.
"""

from typing import Any

import httpx2
import pytest

from service.core.types import Role
from tests.debian.conftest import DebianPostgres
from tests.service_under_test import Service, problem_of, run_service

TRIED = {"Prefer": "return=representation,tx=rollback"}
ULM = {"type": "Point", "coordinates": [10, 48.4]}


def without_crs(geometry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in geometry.items() if name != "crs"}


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        # Foreign tables
        ("stock?select=id,amount&id=lt.3&order=id", [{"id": 1, "amount": 10}, {"id": 2, "amount": 20}]),
        ("stock?select=amount.sum()&name=like.thing*", [{"sum": 150}]),
        # Types of contrib
        ("contrib?select=id&email=eq.ADA@example.ORG", [{"id": 1}]),
        ("contrib?select=id&email=in.(BOB@example.org,x)", [{"id": 2}]),
        ("contrib?select=id&email=ilike.ada*", [{"id": 1}]),
        ("contrib?select=tags&id=eq.1", [{"tags": {"a": "1", "b": None}}]),
        ("contrib?select=a:tags->>a&id=eq.1", [{"a": "1"}]),
        ('contrib?select=id&tags=cs."a"=>"1"', [{"id": 1}]),
        ("contrib?select=path&path=cd.top.arts", [{"path": "top.arts.music"}]),
        ("contrib?select=id&path=cs.top.science.physics", [{"id": 1}]),
        ("contrib?select=id,path&order=path.desc.nullslast&limit=1", [{"id": 1, "path": "top.science"}]),
        ("contrib?select=id::text,email::text&id=eq.2", [{"id": "2", "email": "bob@example.org"}]),
        # xml
        ("contrib?select=document&order=id", [{"document": "<a>1</a>"}, {"document": None}, {"document": "<b/>"}]),
        ("contrib?select=id&document=is.null", [{"id": 2}]),
        # A collation of ICU orders as people do, and its cursor as well.
        ("contrib?select=title&order=title", [{"title": "apfel"}, {"title": "Äpfel"}, {"title": "Zebra"}]),
        ("contrib?select=title&title=gt.b", [{"title": "Zebra"}]),
        # PostGIS
        ("places?select=name&spot=is.null", [{"name": "Nowhere"}]),
        ("places?select=name&spot=ov.SRID%3D4326%3BPOLYGON((9 48,11 48,11 49,9 49,9 48))", [{"name": "Ulm"}]),
    ],
)  # fmt: skip
def test_rows_are_listed_and_filtered(client: httpx2.Client, path: str, rows: list[dict[str, Any]]) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, rows), answer.text


@pytest.mark.parametrize(
    ("table", "total"), [("stock", 5), ("contrib", 3), ("places", 3), ("large", 20_000)]
)  # fmt: skip
@pytest.mark.parametrize("count", ["exact", "planned", "estimated"])
def test_rows_are_counted(client: httpx2.Client, table: str, total: int, count: str) -> None:
    answer = client.get(f"{table}?limit=1", headers={"Prefer": f"count={count}"})
    assert answer.status_code in (200, 206), answer.text
    counted = int(answer.headers["content-range"].rpartition("/")[2])
    assert counted == total or (count == "planned" and counted > 0)


@pytest.mark.parametrize(
    ("table", "row", "shown"),
    [
        ("stock", {"id": 9, "name": "new", "amount": 1}, {"amount": 1}),
        ("contrib", {"id": 9, "email": "E@x", "tags": "k=>v", "path": "a.b", "document": "<x/>", "title": "t"},
         {"tags": {"k": "v"}, "path": "a.b", "document": "<x/>"}),
        ("places", {"id": 9, "name": "new", "spot": ULM}, {"name": "new"}),
        ("places", {"id": 9, "name": "new", "spot": "SRID=4326;POINT(1 2)"}, {"name": "new"}),
    ],
)  # fmt: skip
def test_rows_are_written(client: httpx2.Client, table: str, row: dict[str, Any], shown: dict[str, Any]) -> None:
    made = client.post(table, json=row, headers=TRIED)
    assert made.status_code == 201, made.text
    assert made.json()[0] | shown == made.json()[0]
    values = {name: value for name, value in row.items() if name != "id"}
    changed = client.patch(f"{table}?id=eq.1", json=values, headers=TRIED)
    assert changed.status_code == 200, changed.text
    assert changed.json()[0] | shown == changed.json()[0]
    gone = client.delete(f"{table}?id=eq.1", headers=TRIED)
    assert [one["id"] for one in gone.json()] == [1]


def test_a_row_is_read_and_written_by_its_key(client: httpx2.Client) -> None:
    for path in ("contrib/1", "places/1"):
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        same = client.patch(path, json={"id": 1}, headers={"If-Match": answer.headers["etag"]})
        assert same.status_code == 200, same.text
    assert client.get("stock/1").status_code in (400, 404)  # no foreign table has a key


def test_an_unfit_value_is_refused(client: httpx2.Client) -> None:
    unfit: list[tuple[str, dict[str, Any]]] = [
        ("contrib", {"path": "not a path!"}),
        ("contrib", {"document": "<a>"}),
        ("contrib", {"tags": {"a": "an hstore is no JSON"}}),
        ("places", {"spot": "nowhere"}),
        ("places", {"spot": {"type": "Point"}}),
        ("places", {"spot": {"type": "Nothing"}}),
    ]
    for table, values in unfit:
        answer = client.patch(f"{table}?id=eq.1", json=values, headers=TRIED)
        assert answer.status_code == 400, answer.text
        problem_of(answer)
    assert client.get("places?spot=eq.nowhere").status_code == 400


def test_a_geometry_is_geojson(client: httpx2.Client) -> None:
    rows = client.get("places?select=id,spot,area&order=id").json()
    assert without_crs(rows[0]["spot"]) == ULM
    assert rows[2]["spot"] is None
    assert client.get("places/1").json()["spot"] == rows[0]["spot"]


def test_a_table_with_a_geometry_is_a_feature_collection(served: Service, client: httpx2.Client) -> None:
    accept = {"Accept": "application/geo+json"}
    answer = client.get("places?select=id,name,spot&order=id", headers=accept)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/geo+json")
    assert answer.json() == {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": ULM, "properties": {"id": 1, "name": "Ulm"}},
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [5.4, 43.5]},
             "properties": {"id": 2, "name": "Aix"}},
            {"type": "Feature", "geometry": None, "properties": {"id": 3, "name": "Nowhere"}},
        ],
    }  # fmt: skip
    assert client.get("places?id=gt.9", headers=accept).json() == {"type": "FeatureCollection", "features": []}
    with served.client(Role.VIEWER) as viewer:
        seen = viewer.get("/api/v1/places?select=id,spot", headers=accept).json()["features"]
    assert [feature["properties"]["id"] for feature in seen] == [1, 2]


def test_a_table_without_a_geometry_is_no_feature_collection(client: httpx2.Client) -> None:
    answer = client.get("contrib", headers={"Accept": "application/geo+json"})
    assert 400 <= answer.status_code < 500, answer.text
    problem_of(answer)


def test_cursors_lead_through_a_collation(client: httpx2.Client) -> None:
    seen, path = [], "contrib?select=title&order=title&limit=1"
    while path:
        answer = client.get(path)
        seen += [row["title"] for row in answer.json()]
        path = answer.headers.get("link", "").partition(">")[0].removeprefix("</api/v1/")
    assert seen == ["apfel", "Äpfel", "Zebra"]


def test_the_document_describes_what_it_can(client: httpx2.Client) -> None:
    columns = {one["name"]: one["json_type"] for one in client.get("contrib/-/schema").json()["columns"]}
    assert (columns["document"], columns["title"]) == ("string", "string")
    assert client.get("stock/-/schema").json()["comment"] == "What another server has."


def test_a_read_that_is_too_dear_is_refused(
    environment: dict[str, str], keys: dict[Role, str], debian: DebianPostgres
) -> None:
    with run_service(environment | {"API_MAX_PLAN_COST": "100"}, keys) as running, running.client(Role.ADMIN) as client:
        cheap = client.get("/api/v1/large?id=eq.5")
        dear = client.get("/api/v1/large?text=like.*abc*&order=text")
    assert cheap.status_code == 200, cheap.text
    assert dear.status_code == 400
    assert "cost" in problem_of(dear)["message"]


def test_the_past_of_types_of_contrib_is_read_back(client: httpx2.Client, debian: DebianPostgres) -> None:
    """A key of citext is found in any case; what PostGIS writes as GeoJSON reads back."""
    debian.execute(
        "create table debian.then (id citext primary key, path ltree, spot geometry(point, 4326), document xml); "
        "grant all on debian.then to rowhouse_service; grant select, trigger on debian.then to rowhouse_owner; "
        "select rowhouse.track('debian.then'); notify rowhouse_reload"
    )
    try:
        while client.get("then").status_code != 200:
            pass
        debian.execute("insert into debian.then values ('Word', 'a.b', 'SRID=4326;POINT(10 48.4)', '<a>1</a>')")
        row = client.get("then").json()
        cursor = client.get("then/-/changes").json()["cursor"]
        debian.execute("update debian.then set path = 'c'; delete from debian.then")
        assert [one["type"] for one in client.get("then/wORD/-/history").json()] == ["delete", "update", "insert"]
        assert [client.get("then/wORD", params={"as_of": cursor}).json()] == row
        assert client.get("then", params={"as_of": cursor}).json() == row
        assert client.post("then/WORD/-/restore").status_code == 200
        assert client.get("then").json() == [row[0] | {"path": "c"}]
    finally:
        debian.execute("select rowhouse.untrack('debian.then'); drop table debian.then; notify rowhouse_reload")
