"""Whatever a database holds is found as it is."""

from dataclasses import replace

import pytest
from sqlalchemy import Enum, Integer

from service.catalog.catalog import Catalog
from service.catalog.found import Found
from service.catalog.function import Volatility
from service.catalog.resource import Abilities, Representation
from tests.catalog.conftest import statements_of_reading

ALL = Abilities()
PARTED = Abilities(is_partitioned=True)
VIEW = Abilities(has_version=False, runs_code=True)
READ_ONLY = Abilities(can_insert=False, can_update=False, can_delete=False, has_version=False, runs_code=True)
STORED = replace(READ_ONLY, runs_code=False)

# Name, key, abilities; in the order of the schemas, and by name.
TABLES = (
    ('Sélect "From" where', ("order",), ALL),
    ("animals", ("id",), ALL),
    ("awkward.awkward_two.twin", ("id",), ALL),
    ("badges", ("person",), ALL),
    ("both_kinds", (), READ_ONLY),
    ("circular", (), READ_ONLY),
    ("composite", ("a", "b"), ALL),
    ("counts", (), READ_ONLY),
    ("crew", (), READ_ONLY),
    ("dogs", ("id",), ALL),
    ("events", ("id", "at"), PARTED),
    ("friends", ("one", "other"), ALL),
    ("keyless", (), ALL),
    ("kinds", ("id",), ALL),
    ("loose", ("id",), ALL),
    ("multiplied", (), READ_ONLY),
    ("nothing", (), ALL),
    ("people", ("id",), ALL),
    ("people_skills", ("person", "skill"), ALL),
    ("prices", ("id",), VIEW),
    ("skills", ("id",), ALL),
    ("snapshot", ("id",), STORED),
    ("staff", ("number",), VIEW),
    ("teams", ("id",), ALL),
    ("written", (), VIEW),
    ("awkward_two.chiefs", ("chief",), VIEW),
    ("awkward_two.parts", ("id",), ALL),
    ("awkward_two.twin", ("id",), ALL),
)


def test_every_table_is_found_with_its_key_and_abilities(found: Found) -> None:
    assert tuple((item.name, item.key, item.abilities) for item in found.resources) == TABLES


@pytest.mark.parametrize(
    ("name", "sql_type", "base_type", "is_nullable", "has_default", "is_writable", "default"),
    [
        ("id", "integer", "integer", False, True, False, None),
        ("serial", "integer", "integer", False, True, True, None),
        ("mood", "awkward_two.mood", "awkward_two.mood", True, True, True, "'glad'::awkward_two.mood"),
        ("moods", "awkward_two.mood[]", "awkward_two.mood[]", True, False, True, None),
        ("rank", "awkward.rank", "integer", False, True, True, "3"),
        ("word", "awkward.word", "text", True, False, True, None),
        ("home", "awkward.address", "awkward.address", True, False, True, None),
        ("price", "numeric(10,2)", "numeric", False, False, True, None),
        ("code", "character(3)", "bpchar", True, False, True, None),
        ("flags", "bit varying(8)", "bit varying", True, False, True, None),
        ("uid", "uuid", "uuid", True, True, True, "gen_random_uuid()"),
        ("grid", "integer[]", "integer[]", True, False, True, None),
        ("doubled", "numeric", "numeric", True, True, False, None),
    ],
)
def test_columns_are_described(
    catalog: Catalog,
    name: str,
    sql_type: str,
    base_type: str,
    is_nullable: bool,
    has_default: bool,
    is_writable: bool,
    default: str | None,
) -> None:
    column = catalog.get("kinds").columns[name]
    assert (column.sql_type, column.base_type, column.default) == (sql_type, base_type, default)
    assert (column.is_nullable, column.has_default, column.is_writable) == (is_nullable, has_default, is_writable)


def test_known_types_are_sqlalchemys(catalog: Catalog) -> None:
    columns = catalog.get("kinds").columns
    assert isinstance(columns["rank"].type, Integer)
    mood = columns["mood"].type
    assert isinstance(mood, Enum)
    assert (mood.enums, mood.schema) == (["glad", "so-so", "it's sad"], "awkward_two")


def test_comments_are_kept(catalog: Catalog) -> None:
    kinds = catalog.get("kinds")
    assert kinds.comment == "One of each type"
    assert kinds.columns["price"].comment == 'In whole crowns; "net"'


def test_casts_of_a_domain_are_its_representation(catalog: Catalog) -> None:
    columns = catalog.get("kinds").columns
    assert columns["rank"].representation is None
    assert columns["colour"].representation == Representation(
        to_json=("awkward", "colour_to_json"),
        from_json=("awkward", "colour_from_json"),
        from_text=("awkward", "colour_from_text"),
    )


def test_views_write_what_their_tables_let_them(catalog: Catalog) -> None:
    def writable(name: str) -> set[str]:
        return {column.name for column in catalog.get(name).columns.values() if column.is_writable}

    assert writable("prices") == {"price"}
    assert writable("staff") == {"number", "full {name}", "boss", "team"}
    assert writable("awkward_two.chiefs") == {"chief", "name", "of_team"}
    assert writable("written") == {"id", "name"}
    assert writable("snapshot") == set()


def ways(catalog: Catalog, source: str, target: str) -> set[tuple[str, str, tuple[tuple[str, str], ...]]]:
    return {
        (way.name, way.cardinality, way.pairs)
        for way in catalog.get(source).relations
        if way.target == target and way.function is None
    }


def test_foreign_keys_lead_both_ways(catalog: Catalog) -> None:
    assert ways(catalog, "teams", "people") == {
        ("people_team", "one-to-many", (("id", "team"),)),
        ("teams_lead", "many-to-one", (("lead", "id"),)),
        ("teams_second", "many-to-one", (("second", "id"),)),
    }
    assert ways(catalog, "badges", "people") == {("badges_person", "one-to-one", (("person", "id"),))}
    assert ways(catalog, "people", "badges") == {("badges_person", "one-to-one", (("id", "person"),))}
    assert ways(catalog, "people", "loose") == {("loose_person", "one-to-many", (("id", "person"),))}
    assert ways(catalog, "events", "people") == {("events_person", "many-to-one", (("person", "id"),))}
    pairs = (("a", "a"), ("b", "b"))
    assert ways(catalog, "awkward_two.parts", "composite") == {("parts_composite", "many-to-one", pairs)}


def test_a_table_refers_to_itself_both_ways(catalog: Catalog) -> None:
    assert {way for way in ways(catalog, "people", "people") if way[1] != "many-to-many"} == {
        ("people_boss", "many-to-one", (("boss", "id"),)),
        ("people_boss", "one-to-many", (("id", "boss"),)),
    }


def test_junctions_are_tables_whose_key_holds_both_foreign_keys(catalog: Catalog) -> None:
    [way] = [way for way in catalog.get("people").relations if way.target == "skills"]
    assert (way.name, way.cardinality, way.is_many, way.pairs, way.constraint) == (
        "people_skills", "many-to-many", True, (), None
    )  # fmt: skip
    assert way.junction is not None
    assert way.junction.table is catalog.get("people_skills").table
    assert (way.junction.pairs, way.junction.onward) == ((("id", "person"),), (("skill", "id"),))
    assert way.junction.constraints == ("people_skills_person", "people_skills_skill")
    friends = [way.junction for way in catalog.get("people").relations if way.junction and way.target == "people"]
    assert {junction.pairs + junction.onward for junction in friends} == {
        (("id", "one"), ("other", "id")),
        (("id", "other"), ("one", "id")),
    }


def test_views_have_the_relations_of_their_tables(catalog: Catalog) -> None:
    assert ways(catalog, "awkward_two.chiefs", "teams") == {
        ("people_team", "many-to-one", (("of_team", "id"),)),
        ("teams_lead", "one-to-many", (("chief", "lead"),)),
        ("teams_second", "one-to-many", (("chief", "second"),)),
    }
    assert ways(catalog, "badges", "awkward_two.chiefs") == {("badges_person", "one-to-one", (("person", "chief"),))}
    assert {way for way in ways(catalog, "snapshot", "crew") if way[1] != "many-to-many"} == {
        ("people_team", "many-to-one", (("team", "team_id"),)),
        ("teams_lead", "one-to-many", (("id", "lead"),)),
    }
    assert ways(catalog, "counts", "teams") == {("people_team", "many-to-one", (("team", "id"),))}
    assert not catalog.get("both_kinds").relations
    assert not ways(catalog, "crew", "crew") - {("friends", "many-to-many", ())}


def test_functions_are_found_with_their_overloads(catalog: Catalog) -> None:
    assert "not_served" not in {function.name for function in catalog.all_functions()}
    assert not catalog.functions("write_nothing")
    assert not catalog.functions("span")
    assert {one.parameters[0].sql_type for one in catalog.functions("over")} == {"integer", "text"}
    [plain] = catalog.functions("plain")
    assert [(one.name, one.sql_type, one.is_required, one.is_variadic) for one in plain.parameters] == [
        ("a", "integer", True, False),
        ("b", "text", False, False),
        ("rest", "integer[]", False, True),
    ]
    assert (plain.result, plain.result_type, plain.is_set, plain.volatility, plain.comment) == (
        None, "text", False, Volatility.STABLE, "Puts them together"
    )  # fmt: skip
    assert catalog.functions("plain", "awkward_two") == catalog.functions("awkward_two.plain") != ()
    [body] = catalog.functions("body")
    assert body.takes_body
    [nothing] = catalog.functions("no_answer")
    assert nothing.is_void
    assert nothing.volatility is Volatility.VOLATILE


def test_what_functions_return_is_described(found: Found, catalog: Catalog) -> None:
    [seniors] = [function for function in found.functions if function.name == "seniors"]
    assert seniors.result in found.resources

    def returned(name: str) -> dict[str, str]:
        [function] = catalog.functions(name)
        assert function.result is not None
        return {column.name: column.sql_type for column in function.result.columns.values()}

    assert returned("one_address") == {"street": "text", "house no": "integer"}
    assert returned("pairs") == {"number": "integer", "the word": "awkward.word"}
    assert returned("halves") == {"half": "integer", "rest": "integer"}
    assert returned("partition_rows") == {"at": "date", "id": "integer", "person": "integer"}


def test_functions_of_a_row_are_its_columns_and_relations(catalog: Catalog) -> None:
    people = catalog.get("people")
    assert set(people.computed) == {"initial"}
    assert people.computed["initial"].function == ("awkward", "initial")
    assert people.computed["initial"].sql_type == "text"
    assert set(catalog.get("staff").computed) == {"loud"}
    computed = {way.name: (way.target, way.is_many, way.function) for way in people.relations if way.function}
    assert computed == {
        "own_team": ("teams", False, ("awkward", "own_team")),
        "reports": ("people", True, ("awkward", "reports")),
        "superior": ("people", False, ("awkward", "superior")),
    }


def test_the_number_of_statements_does_not_grow_with_the_tables(awkward_url: str) -> None:
    def many(count: int) -> str:
        return "create schema many;" + "".join(
            f"create table many.t{number} (id integer primary key, up integer references many.t{max(number - 1, 0)});"
            f"create view many.v{number} as select * from many.t{number};"
            for number in range(count)
        )

    few, statements = statements_of_reading(awkward_url, many(2))
    more, as_many = statements_of_reading(awkward_url, many(60))
    assert (len(few.resources), len(more.resources)) == (4, 120)
    assert len(as_many) == len(statements) < 20, "asyncpg asks for some types of its own"
