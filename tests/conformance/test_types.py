"""Composite types and ranges of somebody's own, in what is told of tables and in what is taken and answered."""

from typing import Any

import httpx2

from tests.conformance.conftest import Ask

FLAT = {
    "home": {"street": "Lane", "house no": 4},
    "moods": ["glad", None],
    "spans": ["[1,2)"],
    "label": "x",
    "a b": 1.5,
}


def properties(client: httpx2.Client, table: str) -> dict[str, Any]:
    document = client.get("/openapi.json").json()
    found: dict[str, Any] = document["components"]["schemas"][f"{table}.row"]["properties"]
    return found


def test_composites_are_described_by_their_attributes(client: httpx2.Client) -> None:
    described = properties(client, "kinds")
    home = described["home"]
    assert home["type"] == ["object", "null"]
    assert list(home["properties"]) == ["street", "house no"]
    assert home["properties"]["street"] == {"type": ["string", "null"]}
    assert home["properties"]["house no"]["type"] == ["integer", "null"]
    assert described["homes"]["type"] == ["array", "null"]
    assert set(described["homes"]["items"]["properties"]) == {"street", "house no"}


def test_types_within_types_are_described(client: httpx2.Client) -> None:
    described = properties(client, "nested")
    flat = described["flat"]["properties"]
    assert described["flat"]["type"] == "object"
    assert described["known"]["properties"] == described["flats"]["items"]["properties"] == flat
    assert flat["home"]["properties"]["house no"]["type"] == ["integer", "null"]
    assert flat["moods"]["items"]["anyOf"][0]["enum"] == ["glad", "so-so", "it's sad"]
    assert flat["spans"]["items"]["type"] == ["string", "array", "null"]
    assert flat["label"] == {"type": ["string", "null"]}
    assert flat["a b"]["type"] == ["number", "null"]


def test_ranges_are_texts(client: httpx2.Client) -> None:
    span, spans = properties(client, "kinds")["span"], properties(client, "nested")["spans"]
    assert span["type"] == spans["type"] == ["string", "null"]
    assert "pattern" not in span
    assert "[lower,upper)" in span["description"]
    assert "{[lower,upper), …}" in spans["description"]


def test_programs_are_told_as_well(ask: Ask) -> None:
    columns = {one["name"]: one["json_type"] for one in ask("GET", "nested/-/schema").json()["columns"]}
    assert columns == {"id": "integer", "flat": "object", "flats": "array", "known": "object", "spans": "string"}


def test_what_is_described_is_taken_and_answered(ask: Ask) -> None:
    row = {"id": 1, "flat": FLAT, "flats": [FLAT], "known": FLAT, "spans": "{[1,2)}"}
    made = ask("POST", "nested", row, prefer="return=representation")
    assert (made.status_code, made.json()) == (201, [row]), made.text
    as_texts = ask("POST", "nested", {"id": 1, "flat": "(,,,x,)"}, prefer="return=representation")
    assert as_texts.json()[0]["flat"]["label"] == "x"


def test_the_examples_of_the_document_are_taken(client: httpx2.Client, ask: Ask) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/api/v1/nested"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    examples = [body["example"]] if "example" in body else [one["value"] for one in body["examples"].values()]
    for example in examples:
        answer = ask("POST", "nested", example)
        assert answer.status_code in (201, 200), (example, answer.text)
