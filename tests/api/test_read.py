"""GET of tables and rows, against the real data."""

import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.service_under_test import Service, problem_of


def test_a_page_of_late_flights_with_what_they_refer_to(service: Service, database: Database) -> None:
    with service.client(Role.VIEWER) as client:
        answer = client.get(
            "/api/v1/flights",
            params={
                "select": "id,arr_delay,airline(name),plane(manufacturer)",
                "carrier": "eq.UA",
                "dest": "eq.SFO",
                "order": "arr_delay.desc.nullslast,id",
                "limit": "10",
            },
        )
    expected = database.execute(
        "select f.id, arr_delay, a.name, manufacturer from flights f join airlines a using (carrier) "
        "left join planes using (tailnum) where carrier = 'UA' and dest = 'SFO' order by 2 desc nulls last, 1 limit 10"
    )
    assert answer.status_code == 200
    assert [
        (row["id"], row["arr_delay"], row["airline"]["name"], (row["plane"] or {}).get("manufacturer"))
        for row in answer.json()
    ] == [tuple(row) for row in expected]


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("carrier=eq.UA", "carrier = 'UA'"),
        ("carrier=neq.UA", "carrier <> 'UA'"),
        ("distance=gt.2000", "distance > 2000"),
        ("distance=gte.2475", "distance >= 2475"),
        ("arr_delay=lt.-60", "arr_delay < -60"),
        ("arr_delay=lte.-60", "arr_delay <= -60"),
        ("dest=like.S*", "dest like 'S%'"),
        ("dest=ilike.s_o", "dest ilike 's_o'"),
        ("dest=match.^S.O$", "dest ~ '^S.O$'"),
        ("dest=imatch.^s.o$", "dest ~* '^s.o$'"),
        ("carrier=in.(UA,AA)", "carrier in ('UA', 'AA')"),
        ('carrier=in.("UA","A,A")', "carrier in ('UA', 'A,A')"),
        ("carrier=in.()", "false"),
        ("dep_time=is.null", "dep_time is null"),
        ("dep_time=is.not_null", "dep_time is not null"),
        ("dep_time=not.is.null", "dep_time is not null"),
        ("carrier=not.in.(UA,AA)", "carrier not in ('UA', 'AA')"),
        ("dest=not.like.S*", "dest not like 'S%'"),
        ("carrier=eq.UA&dest=eq.SFO", "carrier = 'UA' and dest = 'SFO'"),
        ("distance=gt.500&distance=lt.600", "distance > 500 and distance < 600"),
        ("or=(carrier.eq.UA,dest.eq.SFO)", "carrier = 'UA' or dest = 'SFO'"),
        ("and=(carrier.eq.UA,or(dest.eq.SFO,dest.eq.LAX))", "carrier = 'UA' and (dest = 'SFO' or dest = 'LAX')"),
        ("not.or=(carrier.eq.UA,dest.eq.SFO)", "not (carrier = 'UA' or dest = 'SFO')"),
        ("or=(dep_time.is.null,not.and(distance.gt.9,carrier.in.(UA,AA)))",
         "dep_time is null or not (distance > 9 and carrier in ('UA', 'AA'))"),
        ("time_hour=gte.2013-12-31T00:00:00Z", "time_hour >= '2013-12-31T00:00:00Z'"),
        ("select=id,airline!inner(name)&airline.name=like.United*",
         "carrier in (select carrier from airlines where name like 'United%')"),
    ],
)  # fmt: skip
def test_filters_select_what_sql_selects(service: Service, database: Database, query: str, condition: str) -> None:
    expected = database.execute(f"select count(*), min(id) from flights where {condition}")[0]
    with service.client(Role.VIEWER, Prefer="count=exact") as client:
        answer = client.get(f"/api/v1/flights?{query}&order=id&limit=1")
    assert answer.status_code in (200, 206), answer.text
    assert answer.headers["content-range"].rpartition("/")[2] == str(expected[0])
    assert [row["id"] for row in answer.json()] == ([expected[1]] if expected[0] else [])


def test_columns_are_renamed_and_cast(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        rows = client.get("/api/v1/airlines?select=code:carrier,size:name::text&carrier=eq.UA").json()
    assert rows == [{"code": "UA", "size": "United Air Lines Inc."}]


def test_rows_are_embedded_both_ways_and_twice(service: Service, database: Database) -> None:
    with service.client(Role.VIEWER) as client:
        rows = client.get(
            "/api/v1/airlines?select=carrier,flights(id,plane(tailnum,model))&carrier=eq.OO&flights.order=id.desc"
            "&flights.limit=3"
        ).json()
    expected = database.execute("select id from flights where carrier = 'OO' order by id desc limit 3")
    assert [flight["id"] for flight in rows[0]["flights"]] == [row[0] for row in expected]
    assert {"tailnum", "model"} == set(rows[0]["flights"][0]["plane"])


def test_a_way_without_a_foreign_key_embeds_null_where_nothing_is_there(service: Service, database: Database) -> None:
    missing = database.execute(
        "select id from flights f where tailnum is not null and not exists "
        "(select from planes p where p.tailnum = f.tailnum) order by id limit 1"
    )[0][0]
    with service.client(Role.VIEWER) as client:
        row = client.get(f"/api/v1/flights/{missing}?select=tailnum,plane(*),weather(temp)").json()
    assert row["tailnum"] is not None
    assert row["plane"] is None
    assert "temp" in row["weather"]


def test_several_ways_between_two_tables_need_a_hint(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        refused = client.get("/api/v1/flights?select=airports(name)&limit=1")
        by_column = client.get("/api/v1/flights?select=from:airports!origin(faa)&limit=1")
        by_name = client.get("/api/v1/flights?select=origin,dest_airport(faa)&dest=eq.SFO&limit=1")
    assert refused.status_code == 300
    assert problem_of(refused)["code"] == "PGRST201"
    assert by_column.json()[0]["from"]["faa"] in ("EWR", "JFK", "LGA")
    assert by_name.json()[0]["dest_airport"]["faa"] == "SFO"


def test_an_exact_count_is_of_all_that_the_filter_selects(service: Service) -> None:
    with service.client(Role.VIEWER, Prefer="count=exact") as client:
        part = client.get("/api/v1/airlines?limit=5&offset=3&order=carrier")
        whole = client.get("/api/v1/airlines")
        behind = client.get("/api/v1/airlines?offset=99")
    assert (part.status_code, part.headers["content-range"]) == (206, "3-7/16")
    assert part.headers["preference-applied"] == "count=exact"
    assert (whole.status_code, whole.headers["content-range"]) == (200, "0-15/16")
    assert "link" not in whole.headers
    assert behind.status_code == 416
    assert problem_of(behind)["code"] == "PGRST103"


@pytest.mark.parametrize(
    "order", ["", "order=arr_delay.desc.nullslast,dest", "order=dep_delay.asc.nullsfirst", "order=tailnum.desc,id.desc"]
)
def test_following_the_next_links_visits_every_row_once(service: Service, database: Database, order: str) -> None:
    seen: list[int] = []
    url = f"/api/v1/flights?select=id&carrier=eq.HA&limit=50&{order}"
    with service.client(Role.VIEWER) as client:
        while url:
            answer = client.get(url)
            start = answer.headers["content-range"].partition("-")[0]
            assert start in (str(len(seen)), "*/*")
            seen += [row["id"] for row in answer.json()]
            url = answer.links["next"]["url"] if "next" in answer.links else ""
    expected = [row[0] for row in database.execute("select id from flights where carrier = 'HA'")]
    assert len(seen) == len(expected)
    assert set(seen) == set(expected)


def test_a_cursor_holds_for_its_own_sort_and_filter(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        link = client.get("/api/v1/airlines?order=name&limit=2").links["next"]["url"]
        elsewhere = client.get(link.replace("order=name", "order=carrier"))
        broken = client.get("/api/v1/airlines?cursor=nonsense")
    assert elsewhere.status_code == 400
    assert "another sort" in problem_of(elsewhere)["detail"]
    assert broken.status_code == 400


def test_a_row_has_its_version_as_entity_tag(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        whole = client.get("/api/v1/airlines/UA")
        part = client.get("/api/v1/airlines/UA?select=name")
        listed = client.get("/api/v1/airlines?select=carrier,_etag&carrier=eq.UA").json()
        unchanged = client.get("/api/v1/airlines/UA", headers={"If-None-Match": whole.headers["etag"]})
        changed = client.get("/api/v1/airlines/UA?select=name", headers={"If-None-Match": whole.headers["etag"]})
    assert whole.json() == {"carrier": "UA", "name": "United Air Lines Inc."}
    assert part.headers["etag"].startswith(whole.headers["etag"].strip('"').join(('"', "-")))
    assert listed == [{"carrier": "UA", "_etag": whole.headers["etag"]}]
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert changed.status_code == 200


def test_a_composite_key_is_parted_by_commas(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        row = client.get("/api/v1/weather/EWR,2013-01-01T06:00:00Z?select=origin,temp")
        quoted = client.get('/api/v1/weather/"EWR","2013-01-01 06:00:00+00"?select=origin,temp')
        short = client.get("/api/v1/weather/EWR")
        missing = client.get("/api/v1/weather/EWR,2012-01-01T06:00:00Z")
    assert row.json() == quoted.json() == {"origin": "EWR", "temp": 39.02}
    assert "2 values" in problem_of(short)["detail"]
    assert missing.status_code == 404


def test_head_is_get_without_a_body(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        answer = client.head("/api/v1/airlines")
        options = client.options("/api/v1/airlines/UA")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 100
    assert options.headers["allow"] == "GET, HEAD, PATCH, PUT, DELETE, OPTIONS"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/api/v1/flihgts", "'public.flights'"),
        ("/api/v1/flights?select=arr_dealy", "'arr_delay'"),
        ("/api/v1/flights?dset=eq.SFO", "'dest'"),
        ("/api/v1/flights?dest=eqq.SFO", "'eq'"),
        ("/api/v1/flights?order=arr_dely", "'arr_delay'"),
        ("/api/v1/flights?select=airlin(name)", "'airline'"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(service: Service, path: str, hint: str) -> None:
    with service.client(Role.ADMIN) as client:
        answer = client.get(path)
    assert answer.status_code in (400, 404)
    assert hint in problem_of(answer)["hint"]


def test_a_value_that_does_not_fit_its_column_is_named(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        document = problem_of(client.get("/api/v1/flights?year=eq.soon&carrier=eq.UA"))
    assert document["code"] == "22P02"
    assert [error["field"] for error in document["errors"]] == ["year"]


def test_a_row_that_is_asked_for_in_another_version_is_refused(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        tag = client.get("/api/v1/airlines/UA").headers["etag"]
        assert client.get("/api/v1/airlines/UA", headers={"If-Match": f'"1.1", {tag}'}).status_code == 200
        assert client.get("/api/v1/airlines/UA", headers={"If-Match": '"1.1"'}).status_code == 412
        assert client.get("/api/v1/airlines/UA?limit=1").status_code == 400


def test_headers_that_come_twice_count_both(service: Service) -> None:
    headers = [("X-API-Key", service.keys[Role.VIEWER]), ("Prefer", "count=exact"), ("Prefer", "handling=strict")]
    answer = httpx2.get(f"{service.url}/api/v1/airlines", headers=headers)
    assert answer.headers["preference-applied"] == "count=exact, handling=strict"


def test_a_name_that_postgresql_would_cut_is_refused(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        assert client.get(f"/api/v1/airlines?select={'é' * 31}:name&limit=1").json()[0]["é" * 31]
        assert client.get(f"/api/v1/airlines?select={'é' * 32}:name&limit=1").status_code == 400


def test_a_range_past_the_end_says_how_many_there_are(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        answer = client.get("/api/v1/airlines?offset=99", headers={"Prefer": "count=exact"})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "*/16")


def test_probes_take_head(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        assert [client.head(path).status_code for path in ("/livez", "/readyz", "/health")] == [200, 200, 200]
