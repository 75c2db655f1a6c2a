"""Batches that are only tried."""

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of

OPERATIONS = [
    {"method": "POST", "path": "/items", "body": {"id": 900}, "headers": {"Prefer": "return=representation"}},
    {"method": "DELETE", "path": "/items/1"},
    {"method": "GET", "path": "/items?select=id&id=in.(1,900)"},
]


def test_a_batch_that_is_only_tried_answers_and_writes_nothing(ask: Ask) -> None:
    answer = ask("POST", "-/batch", {"operations": OPERATIONS}, prefer="tx=rollback")
    assert answer.status_code == 200, answer.text
    assert answer.headers["preference-applied"] == "tx=rollback"
    assert [result["status"] for result in answer.json()] == [201, 204, 200]
    assert answer.json()[2]["body"] == [{"id": 900}]
    assert ask("GET", "items?select=id&id=in.(1,900)").json() == [{"id": 1}]


def test_a_part_of_a_batch_is_not_tried_by_itself(ask: Ask) -> None:
    operation = {"method": "POST", "path": "/items", "body": {"id": 901}, "headers": {"Prefer": "tx=rollback"}}
    answer = ask("POST", "-/batch", {"operations": [operation]})
    assert answer.status_code == 400
    assert problem_of(answer)["errors"][0]["field"] == "operations[0]"


def test_what_is_only_tried_is_not_kept_under_a_key(ask: Ask) -> None:
    for path, body in (("-/batch", {"operations": OPERATIONS}), ("items", {"id": 902})):
        answer = ask("POST", path, body, prefer="tx=rollback", idempotency_key="k")
        assert answer.status_code == 400, answer.text
        assert "tx=rollback" in problem_of(answer)["message"]
    assert ask("GET", "items?select=id&id=in.(1,900,902)").json() == [{"id": 1}]
