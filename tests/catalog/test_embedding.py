"""Which way is meant, by PostgREST's rules; what a catalog of some of the tables still leads to."""

import pytest

from service.catalog.catalog import Catalog
from service.catalog.resource import ColumnRights
from service.core.errors import AmbiguousRelation, RelationNotFound, TableNotFound


@pytest.mark.parametrize(
    ("source", "target", "hint", "leads"),
    [
        ("badges", "people", None, ("people", "badges_person", "one-to-one")),
        ("teams", "people", "teams_lead", ("people", "teams_lead", "many-to-one")),
        ("teams", "people", "lead", ("people", "teams_lead", "many-to-one")),
        ("teams", "people", "team", ("people", "people_team", "one-to-many")),
        ("teams", "teams_lead", None, ("people", "teams_lead", "many-to-one")),
        ("teams", "second", None, ("people", "teams_second", "many-to-one")),
        ("people", "skills", None, ("skills", "people_skills", "many-to-many")),
        ("people", "skills", "people_skills", ("skills", "people_skills", "many-to-many")),
        ("people", "people_skills", None, ("people_skills", "people_skills_person", "one-to-many")),
        ("people", "people", None, ("people", "people_boss", "one-to-many")),
        ("people", "boss", None, ("people", "people_boss", "many-to-one")),
        ("people", "people", "boss", ("people", "people_boss", "one-to-many")),
        ("people", "superior", None, ("people", "superior", "many-to-one")),
        ("people", "reports", None, ("people", "reports", "one-to-many")),
        ("awkward_two.parts", "composite", None, ("composite", "parts_composite", "many-to-one")),
        ("composite", "awkward_two.parts", None, ("awkward_two.parts", "parts_composite", "one-to-many")),
    ],
)
def test_a_way_is_picked(
    catalog: Catalog, source: str, target: str, hint: str | None, leads: tuple[str, str, str]
) -> None:
    way = catalog.relation(catalog.get(source), target, hint)
    assert (way.target, way.name, way.cardinality) == leads


def test_several_ways_are_listed(catalog: Catalog) -> None:
    with pytest.raises(AmbiguousRelation) as refused:
        catalog.relation(catalog.get("people"), "teams", None)
    error = refused.value
    assert error.message == ("Could not embed because more than one relationship was found for 'people' and 'teams'")
    assert error.details is not None
    assert {
        "cardinality": "many-to-one",
        "embedding": "people with teams",
        "relationship": "people_team using people(team) and teams(id)",
    } in error.details
    assert error.hint is not None
    assert "'teams!people_team', 'teams!teams_lead', 'teams!teams_second'" in error.hint


@pytest.mark.parametrize("hint", ["people_boss", "friends"])
def test_a_hint_that_fits_both_ways_of_a_table_to_itself_is_not_enough(catalog: Catalog, hint: str) -> None:
    with pytest.raises(AmbiguousRelation):
        catalog.relation(catalog.get("people"), "people", hint)


def test_no_way_is_told_with_the_nearest(catalog: Catalog) -> None:
    with pytest.raises(RelationNotFound) as refused:
        catalog.relation(catalog.get("people"), "skill", None)
    assert refused.value.details == (
        "Searched for a foreign key relationship between 'people' and 'skill' in the schema 'awkward', "
        "but no matches were found."
    )
    assert refused.value.hint == "Perhaps you meant 'skills' instead of 'skill'."


def test_tables_are_found_by_schema(catalog: Catalog) -> None:
    assert catalog.get("twin", "awkward_two") is catalog.get("awkward_two.twin")
    assert catalog.get("awkward_two.twin", "awkward").name == "awkward.awkward_two.twin"
    with pytest.raises(TableNotFound):
        catalog.get("people", "awkward_two")


def test_what_is_hidden_is_not_led_to(catalog: Catalog) -> None:
    some = catalog.only(dict.fromkeys(("people", "skills", "teams"), ColumnRights()), {"seniors"})
    assert some.schemas == catalog.schemas
    assert {way.target for way in some.get("people").relations} <= {"people", "teams"}
    assert not some.get("skills").relations, "the junction is hidden"
    [seniors] = some.functions("seniors")
    assert seniors.result is some.get("people")
    [rows] = catalog.only({"skills": ColumnRights()}, {"seniors"}).functions("seniors")
    assert rows.result is not None
    assert {way.target for way in rows.result.relations} == set()
