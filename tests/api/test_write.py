"""POST, PATCH, PUT and DELETE. They commit: row versions and triggers are what production sees."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.service_under_test import Service, problem_of

AIRLINES = "/api/v1/airlines"


@pytest.fixture
def client(service: Service, database: Database) -> Iterator[httpx2.Client]:
    """An editor. Rows that a test adds have carriers that begin with an underscore, and are removed after it."""
    with service.client(Role.EDITOR) as client:
        yield client
    database.execute("delete from airlines where carrier like '\\_%'")


def flight(**columns: Any) -> dict[str, Any]:
    return {
        "year": 2050, "month": 1, "day": 1, "sched_dep_time": 600, "sched_arr_time": 900, "carrier": "UA",
        "flight": 1, "origin": "EWR", "dest": "SFO", "distance": 2565, "hour": 6, "minute": 0,
        "time_hour": "2050-01-01T06:00:00Z",
    } | columns  # fmt: skip


def test_a_row_is_inserted_and_told_by_location_and_tag(client: httpx2.Client) -> None:
    answer = client.post(AIRLINES, json={"carrier": "_1", "name": "One"})
    read = client.get(answer.headers["location"])
    assert answer.status_code == 201
    assert answer.json() == [{"carrier": "_1", "name": "One"}]
    assert answer.headers["location"] == f"{AIRLINES}/_1"
    assert read.headers["etag"] == answer.headers["etag"]


def test_rows_are_inserted_together_or_not_at_all(client: httpx2.Client, database: Database) -> None:
    both = client.post(AIRLINES, json=[{"carrier": "_1", "name": "One"}, {"carrier": "_2", "name": "Two"}])
    neither = client.post(AIRLINES, json=[{"carrier": "_3", "name": "Three"}, {"carrier": "_1", "name": "Again"}])
    assert (both.status_code, both.headers["content-range"]) == (201, "*/*")
    assert "location" not in both.headers
    assert neither.status_code == 409
    assert problem_of(neither)["errors"] == [{"field": "carrier", "message": "stands in the way"}]
    assert not database.execute("select from airlines where carrier = '_3'")


def test_a_default_fills_what_the_body_leaves_out(client: httpx2.Client, database: Database) -> None:
    answer = client.post("/api/v1/flights?select=id,dep_delay,airline(name)", json=flight())
    row = answer.json()[0]
    database.execute("delete from flights where id = $1", row["id"])
    assert row["id"] > 336_776
    assert row["dep_delay"] is None
    assert row["airline"] == {"name": "United Air Lines Inc."}


@pytest.mark.parametrize(
    ("prefer", "body"), [("return=minimal", b""), ("return=headers-only", b""), ("return=representation", b"[")]
)
def test_the_answer_is_what_was_preferred(client: httpx2.Client, prefer: str, body: bytes) -> None:
    answer = client.post(AIRLINES, json={"carrier": "_1", "name": "One"}, headers={"Prefer": prefer})
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == prefer
    assert answer.content[:1] == body
    assert answer.headers["location"] == f"{AIRLINES}/_1"


def test_a_patch_sets_the_columns_named(client: httpx2.Client) -> None:
    client.post(AIRLINES, json={"carrier": "_1", "name": "One"})
    before = client.get(f"{AIRLINES}/_1").headers["etag"]
    answer = client.patch(f"{AIRLINES}/_1", json={"name": "Uno"}, headers={"If-Match": before})
    assert (answer.status_code, answer.json()) == (200, {"carrier": "_1", "name": "Uno"})
    assert answer.headers["etag"] != before
    assert client.get(f"{AIRLINES}/_1").headers["etag"] == answer.headers["etag"]


def test_a_stale_version_is_refused_with_the_row_as_it_is(client: httpx2.Client, database: Database) -> None:
    client.post(AIRLINES, json={"carrier": "_1", "name": "One"})
    stale = client.get(f"{AIRLINES}/_1").headers["etag"]
    database.execute("update airlines set name = 'Changed elsewhere' where carrier = '_1'")
    current = client.get(f"{AIRLINES}/_1").headers["etag"]
    for method, body in (("PATCH", {"name": "Mine"}), ("PUT", {"name": "Mine"}), ("DELETE", None)):
        answer = client.request(method, f"{AIRLINES}/_1", json=body, headers={"If-Match": stale})
        assert answer.status_code == 412
        assert problem_of(answer)["current"] == {"carrier": "_1", "name": "Changed elsewhere"}
        assert answer.headers["etag"] == current


@pytest.mark.parametrize("tag", ['"0.0"', '"x"', '"deadbeef.99999999999999999999"', 'W/"1.1"'])
def test_a_tag_of_another_life_never_matches(client: httpx2.Client, tag: str) -> None:
    assert client.patch(f"{AIRLINES}/UA", json={"name": "x"}, headers={"If-Match": tag}).status_code == 412


def test_missing_rows_are_told_from_changed_ones(client: httpx2.Client) -> None:
    for headers in ({}, {"If-Match": "*"}, {"If-Match": '"1.1"'}):
        assert client.patch(f"{AIRLINES}/_9", json={"name": "x"}, headers=headers).status_code == 404
        assert client.delete(f"{AIRLINES}/_9", headers=headers).status_code == 404


def test_a_hundred_races_lose_no_update(client: httpx2.Client, service: Service, database: Database) -> None:
    """Both read the same version; one write is kept, the other is told."""
    client.post(AIRLINES, json={"carrier": "_1", "name": "0"})

    def increment(client: httpx2.Client) -> int:
        row = client.get(f"{AIRLINES}/_1")
        changed = client.patch(
            f"{AIRLINES}/_1", json={"name": str(int(row.json()["name"]) + 1)}, headers={"If-Match": row.headers["etag"]}
        )
        assert changed.status_code in (200, 412)
        return int(changed.status_code == 200)

    with ThreadPoolExecutor(4) as threads, service.client(Role.EDITOR) as other:
        kept = sum(threads.map(increment, [client, other] * 50))
    assert client.get(f"{AIRLINES}/_1").json()["name"] == str(kept)
    assert 0 < kept <= 100


def test_a_put_makes_or_replaces_the_row(client: httpx2.Client) -> None:
    made = client.put(f"{AIRLINES}/_1", json={"name": "One"})
    replaced = client.put(f"{AIRLINES}/_1", json={"carrier": "_1", "name": "Uno"})
    only_new = client.put(f"{AIRLINES}/_1", json={"name": "x"}, headers={"If-None-Match": "*"})
    other_key = client.put(f"{AIRLINES}/_1", json={"carrier": "_2", "name": "x"})
    assert (made.status_code, made.headers["location"]) == (201, f"{AIRLINES}/_1")
    assert (replaced.status_code, replaced.json()) == (200, {"carrier": "_1", "name": "Uno"})
    assert only_new.status_code == 412
    assert [error["field"] for error in problem_of(other_key)["errors"]] == ["carrier"]


def test_a_put_returns_to_its_default_what_the_body_leaves_out(client: httpx2.Client, database: Database) -> None:
    row = client.post("/api/v1/flights", json=flight(dep_delay=5)).json()[0]
    path = f"/api/v1/flights/{row['id']}"
    try:
        tag = client.patch(path, json={"arr_delay": 7}).headers["etag"]
        conditional = client.put(path, json=flight(), headers={"If-Match": tag})
        client.patch(path, json={"dep_delay": 5})
        plain = client.put(path, json=flight())
        assert (conditional.json()["dep_delay"], conditional.json()["arr_delay"]) == (None, None)
        assert (plain.json()["dep_delay"], plain.json()["id"]) == (None, row["id"])
    finally:
        database.execute("delete from flights where id = $1", row["id"])


def test_a_row_is_deleted(client: httpx2.Client) -> None:
    client.post(AIRLINES, json=[{"carrier": "_1", "name": "One"}, {"carrier": "_2", "name": "Two"}])
    silent = client.delete(f"{AIRLINES}/_1")
    told = client.delete(f"{AIRLINES}/_2", headers={"Prefer": "return=representation"})
    assert (silent.status_code, silent.content) == (204, b"")
    assert (told.status_code, told.json()) == (200, {"carrier": "_2", "name": "Two"})
    assert client.get(f"{AIRLINES}/_1").status_code == 404


def test_numbers_reach_postgresql_with_all_their_digits(client: httpx2.Client) -> None:
    """They are not parsed on the way: what is too large is refused, not rounded to fit."""
    exact = '{"lat": 0.1000000000000000055511151231257827}'
    rounded = client.patch("/api/v1/airports/04G", content=exact, headers={"Content-Type": "application/json"})
    restored = client.patch("/api/v1/airports/04G", json={"lat": 41.1304722})
    too_large = client.patch("/api/v1/flights/1", json={"flight": 2**64 + 1})
    assert (rounded.json()["lat"], restored.json()["lat"]) == (0.1, 41.1304722)
    assert too_large.status_code == 400
    assert str(2**64 + 1) in problem_of(too_large)["detail"]


def test_a_filtered_collection_is_changed_and_deleted(client: httpx2.Client) -> None:
    client.post(AIRLINES, json=[{"carrier": f"_{number}", "name": "x"} for number in range(5)])
    changed = client.patch(f"{AIRLINES}?carrier=in.(_1,_2)", json={"name": "y"})
    deleted = client.delete(f"{AIRLINES}?name=eq.y")
    left = client.get(f"{AIRLINES}?carrier=like._*&name=eq.x&select=carrier").json()
    assert [row["name"] for row in changed.json()] == ["y", "y"]
    assert (deleted.status_code, deleted.headers["content-range"]) == (204, "*/*")
    assert len(left) == 3


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_whole_table_is_not_written_by_oversight(client: httpx2.Client, database: Database, method: str) -> None:
    body = {"name": "gone"} if method == "PATCH" else None
    refused = client.request(method, AIRLINES, json=body)
    bounded = client.request(method, AIRLINES, json=body, headers={"Prefer": "max-affected=3"})
    assert problem_of(refused)["code"] == "unfiltered_write"
    assert problem_of(bounded)["code"] == "PGRST124"
    assert database.execute("select count(*) from airlines where name <> 'gone'")[0][0] == 16


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"carrier": "_1"}, "name"),
        ({"carrier": "_1", "name": None}, "name"),
        ({"carrier": "_1", "nmae": "x"}, "nmae"),
    ],
)
def test_a_bad_row_is_refused_by_field(client: httpx2.Client, body: dict[str, Any], field: str) -> None:
    answer = client.post(AIRLINES, json=body)
    assert answer.status_code == 400
    assert [error["field"] for error in problem_of(answer)["errors"]] == [field]


def test_every_bad_field_of_every_row_is_named(client: httpx2.Client, database: Database) -> None:
    rows = [flight(year="NA"), flight(year=1), flight(year=99999, time_hour="never")]
    document = problem_of(client.post("/api/v1/flights", json=rows))
    named = [(error["row"], error["field"]) for error in document["errors"]]
    assert named == [(1, "year"), (3, "year"), (3, "time_hour")]
    assert "null" in document["errors"][0]["message"]
    assert database.execute("select count(*) from flights")[0][0] == 336_776


def test_a_reference_to_nothing_is_a_conflict(client: httpx2.Client) -> None:
    inserted = client.post("/api/v1/flights", json=flight(carrier="??"))
    deleted = client.delete(f"{AIRLINES}/UA")
    assert inserted.status_code == deleted.status_code == 409
    assert problem_of(inserted)["code"] == "23503"
    assert problem_of(inserted)["errors"][0]["field"] == "carrier"


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b'[{"carrier": "_1", "name": "a"}, {"carrier": "_2"}]', "application/json", 400),
        (b'{"carrier": "_1", "name": NaN}', "application/json", 400),
        (b'{"carrier": "_1", "name": "\\u0000"}', "application/json", 400),
        (b'{"carrier": "_1", "name": "\xff"}', "application/json", 400),
        (b"<a/>", "text/xml", 415),
        (b"{}", "application/json", 400),
    ],
)
def test_a_body_that_is_no_row_is_refused(
    client: httpx2.Client, content: bytes, content_type: str, status: int
) -> None:
    answer = client.post(AIRLINES, content=content, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert problem_of(answer)["detail"]


def test_an_empty_array_inserts_nothing(client: httpx2.Client) -> None:
    answer = client.post(AIRLINES, json=[])
    assert (answer.status_code, answer.json()) == (201, [])


def test_a_write_takes_no_paging(client: httpx2.Client) -> None:
    assert client.patch(f"{AIRLINES}?carrier=eq._1&limit=1", json={"name": "x"}).status_code == 400
    assert client.delete(f"{AIRLINES}?carrier=eq._1&offset=1").status_code == 400


def test_triggers_find_the_caller(client: httpx2.Client, database: Database) -> None:
    database.execute(
        """
        create table seen (actor text, request text);
        """
    )
    database.execute(
        """
        create function note() returns trigger language plpgsql security definer as $$
        begin
            insert into public.seen
            values (current_setting('rowhouse.actor'), current_setting('rowhouse.request'));
            return null;
        end $$
        """
    )
    database.execute("create trigger note after insert or update or delete on airlines execute function note()")
    try:
        requests = [
            client.post(AIRLINES, json={"carrier": "_1", "name": "One"}),
            client.patch(f"{AIRLINES}/_1", json={"name": "Uno"}),
            client.delete(f"{AIRLINES}/_1"),
        ]
        seen = [tuple(row) for row in database.execute("select actor, request from seen")]
    finally:
        database.execute("drop trigger note on airlines")
        database.execute("drop function note()")
        database.execute("drop table seen")
    assert [request for _, request in seen] == [answer.headers["x-request-id"] for answer in requests]
    (actor,) = {actor for actor, _ in seen}
    assert actor.startswith("key:test editor#rh_")


def test_values_are_looked_at_also_where_no_row_is_there(client: httpx2.Client) -> None:
    answer = client.patch("/api/v1/planes?tailnum=eq.nope", json={"year": "abc"})
    assert answer.status_code == 400
    assert [error["field"] for error in problem_of(answer)["errors"]] == ["year"]


@pytest.mark.parametrize("carrier", ["_,", '_"', "_/x", "_%", "_ ", "_é", '"_', "_\\", "_?#"])
def test_a_key_of_any_letters_leads_back_to_its_row(client: httpx2.Client, database: Database, carrier: str) -> None:
    made = client.post(AIRLINES, json={"carrier": carrier, "name": "Odd"})
    try:
        assert client.get(made.headers["location"]).json() == {"carrier": carrier, "name": "Odd"}
        assert client.delete(made.headers["location"]).status_code == 204
    finally:
        database.execute("delete from airlines where name = 'Odd'")


@pytest.mark.parametrize("carrier", ["", ".", "..", "-"])
def test_a_key_that_looks_like_a_path_leads_back_to_its_row(
    client: httpx2.Client, database: Database, carrier: str
) -> None:
    made = client.post(AIRLINES, json={"carrier": carrier, "name": "Odd"})
    try:
        assert client.get(made.headers["location"]).json()["carrier"] == carrier
    finally:
        database.execute("delete from airlines where name = 'Odd'")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": 'W/"{tag}"'}, 412),
        ({"If-Match": '"{life}.0{number}"'}, 412),
        ({"If-Match": '"{tag}"'}, 200),
        ({"If-None-Match": '"{tag}"'}, 400),
        ({"Prefer": "max-affected=few"}, 400),
        ({"Prefer": "return=representation; wait=5"}, 200),
    ],
    ids=str,
)
def test_conditions_and_preferences_are_read_strictly(
    client: httpx2.Client, headers: dict[str, str], status: int
) -> None:
    client.put(f"{AIRLINES}/_1", json={"name": "One"})
    tag = client.get(f"{AIRLINES}/_1").headers["etag"].strip('"')
    life, _, number = tag.partition(".")
    filled = {name: value.format(tag=tag, life=life, number=number) for name, value in headers.items()}
    assert client.patch(f"{AIRLINES}/_1", json={"name": "Uno"}, headers=filled).status_code == status


def test_the_url_names_the_row_whatever_the_body_says(client: httpx2.Client, database: Database) -> None:
    body = '{"carrier": "_1", "name": "One", "carrier": "UA"}'
    answer = client.put(f"{AIRLINES}/_1", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert database.execute("select name from airlines where carrier = 'UA'")[0][0] == "United Air Lines Inc."
