"""The SQL of a plan, by shape. What changes here changes what PostgreSQL is asked."""

import re

import pytest

from service.catalog.catalog import Catalog
from service.query.compile.read import compile_item, compile_list
from service.query.compile.write import compile_write
from service.query.parse.request import Bounds, parse_query
from service.query.plan import (
    Bind,
    BindKind,
    ColumnRef,
    Comparison,
    DeletePlan,
    HasVersion,
    InsertPlan,
    OnConflict,
    Operator,
    ReadPlan,
    Selected,
    UpdatePlan,
    Written,
    all_of,
)


def squeeze(sql: str) -> str:
    """The statement on one line, and the token in our own names left out: it is another in each process."""
    return re.sub(r"_[0-9a-f]{8}(?![0-9a-f])", "_T", re.sub(r"\s+", " ", sql)).strip()


def by_key(value: str) -> Comparison:
    return Comparison(ColumnRef("carrier"), Operator.EQ, Bind(value))


def test_a_row_is_read_by_its_key(catalog: Catalog) -> None:
    statement = compile_item(ReadPlan(catalog.get("airlines"), where=by_key("UA")))
    assert squeeze(statement.sql) == (
        "SELECT row_to_json(p.r) AS row_to_json_1, p.version FROM (SELECT r_T_0 AS r, "
        "CAST(t0.xmin AS TEXT) AS version FROM airlines AS t0 "
        "JOIN LATERAL (SELECT t0.carrier AS carrier, t0.name AS name) AS r_T_0 ON true "
        "WHERE t0.carrier = CAST($1::VARCHAR AS text) LIMIT 1) AS p"
    )
    assert statement.sources == (0,)


def test_a_page_knows_its_last_key(catalog: Catalog) -> None:
    query = parse_query(catalog, catalog.get("airlines"), b"select=name&order=name.desc&limit=3", Bounds(10, 5))
    assert squeeze(compile_list(query.plan).sql) == (
        "SELECT coalesce(json_agg(p.r), '[]'::json) AS coalesce_1, count(*) AS count_1, "
        "json_build_array(CAST((array_agg(p.r_T_k0))[count(*)] AS TEXT), "
        "CAST((array_agg(p.r_T_k1))[count(*)] AS TEXT)) "
        "AS json_build_array_1, NULL AS anon_1 "
        "FROM (SELECT r_T_0 AS r, t0.name AS r_T_k0, t0.carrier AS r_T_k1 FROM airlines AS t0 "
        "JOIN LATERAL (SELECT t0.name AS name) AS r_T_0 ON true "
        "ORDER BY t0.name DESC, t0.carrier ASC LIMIT CAST($1::VARCHAR AS bigint)) AS p"
    )


@pytest.mark.parametrize(
    ("order", "condition"),
    [
        ("distance", "(t0.distance, t0.id) > (CAST($1::VARCHAR AS smallint), CAST($2::VARCHAR AS bigint))"),
        (
            "distance.desc",
            "t0.distance < CAST($1::VARCHAR AS smallint) OR t0.distance = CAST($1::VARCHAR AS smallint) "
            "AND t0.id > CAST($2::VARCHAR AS bigint)",
        ),
        (
            "dep_time.nullslast",
            "t0.dep_time > CAST($1::VARCHAR AS smallint) OR t0.dep_time IS NULL "
            "OR t0.dep_time = CAST($1::VARCHAR AS smallint) AND t0.id > CAST($2::VARCHAR AS bigint)",
        ),
    ],
)
def test_a_next_page_begins_behind_a_key(catalog: Catalog, order: str, condition: str) -> None:
    flights = catalog.get("flights")
    first = parse_query(catalog, flights, f"order={order}".encode(), Bounds(10, 5))
    from service.query import cursor

    token = cursor.encode(first.bound_to, b'["5", "7"]', 10)
    query = parse_query(catalog, flights, f"order={order}&cursor={token}".encode(), Bounds(10, 5))
    assert condition in squeeze(compile_list(query.plan).sql)
    assert query.position == 10


def test_an_update_checks_the_version_in_its_own_where(catalog: Catalog) -> None:
    airlines = catalog.get("airlines")
    where = all_of(by_key("UA"), HasVersion(Bind(["7"], BindKind.LIST)))
    written = Written(Bind("me"), Bind("id"), answer=ReadPlan(airlines, (Selected(ColumnRef("name"), "name"),)))
    sql = squeeze(compile_write(UpdatePlan(airlines, ("name",), Bind(b"[]", BindKind.JSON), where, written)).sql)
    assert sql == (
        "WITH ctx AS (SELECT set_config('rowhouse.actor', $1::VARCHAR, true) AS actor, "
        "set_config('rowhouse.request', $2::VARCHAR, true) AS request), "
        "written AS (UPDATE airlines AS t SET name=b.name FROM (SELECT anon_2.name AS name FROM ctx "
        "JOIN json_to_recordset($3::JSON) AS anon_2(name text) ON true) AS b "
        "WHERE (t.carrier = CAST($4::VARCHAR AS text)) AND t.xmin = ANY (CAST($5::TEXT[] AS xid[])) "
        "RETURNING t.carrier, t.name, pg_current_xact_id()::xid AS version_T, false AS is_new_T) "
        "SELECT (SELECT coalesce(json_agg(p.r), '[]'::json) AS coalesce_1 FROM (SELECT r_T_0 AS r FROM written AS w "
        "JOIN LATERAL (SELECT w.name AS name) AS r_T_0 ON true) AS p) AS anon_1, count(*) AS count_1, "
        "min(CAST(written.version_T AS TEXT)) AS min_1, json_build_array(min(CAST(written.carrier AS TEXT))) "
        "AS json_build_array_1, bool_or(written.is_new_T) AS bool_or_1 FROM written"
    )


def test_a_bound_and_a_policy_end_the_statement_that_breaks_them(catalog: Catalog) -> None:
    airlines = catalog.get("airlines")
    written = Written(Bind("me"), Bind("id"), check=by_key("UA"), max_affected=Bind("3"))
    sql = squeeze(compile_write(DeletePlan(airlines, None, written)).sql)
    assert "CASE WHEN (count(*) <= CAST($1::VARCHAR AS bigint)) THEN true ELSE rowhouse.refuse('RH001'" in sql
    assert "WHERE CASE WHEN (written.carrier = CAST($4::VARCHAR AS text)) THEN true ELSE rowhouse.refuse('RH002'" in sql


def test_a_put_replaces_only_what_may_be_replaced(catalog: Catalog) -> None:
    airlines = catalog.get("airlines")
    plan = InsertPlan(
        airlines, ("carrier", "name"), Bind(b"[]", BindKind.JSON), Written(Bind("me"), Bind("id")),
        OnConflict.REPLACE, by_key("UA"),
    )  # fmt: skip
    sql = squeeze(compile_write(plan).sql)
    assert (
        "ON CONFLICT (carrier) DO UPDATE SET carrier = excluded.carrier, name = excluded.name "
        "WHERE airlines.carrier = CAST($4::VARCHAR AS text)" in sql
    )
