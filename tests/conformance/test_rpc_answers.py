"""What a function knows of its request, and says of its answer."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of

NOTHING = {"status": "", "headers": ""}


def test_a_function_sets_status_and_headers(ask: Ask) -> None:
    asked = {"status": "202", "headers": '[{"X-One": "1"}, {"Set-Cookie": "a=1"}, {"Set-Cookie": "b=2"}]'}
    for answer in (ask("POST", "rpc/says", asked), ask("GET", "rpc/says?status=202&headers=" + asked["headers"])):
        assert (answer.status_code, answer.json(), answer.headers["x-one"]) == (202, 1, "1")
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_a_function_names_the_media_type_but_nothing_of_the_frame(ask: Ask) -> None:
    fields = '[{"Content-Type": "text/x-own"}, {"Content-Length": "1"}, {"X-Request-Id": "own"}, {"X-Bad": "a\\nb"}]'
    answer = ask("POST", "rpc/says", NOTHING | {"headers": fields})
    assert (answer.headers["content-type"], answer.text) == ("text/x-own", "1")
    assert answer.headers["x-request-id"] != "own"
    assert "x-bad" not in answer.headers


@pytest.mark.parametrize("fields", ['{"a": "b"}', '[{"a": 1}]', '[{"a": "b", "c": "d"}]', "[1]", "null", "no json"])
def test_headers_that_cannot_be_read_are_an_error(ask: Ask, fields: str) -> None:
    answer = ask("POST", "rpc/says", NOTHING | {"headers": fields})
    assert (answer.status_code, problem_of(answer)["code"]) == (500, "PGRST111")


@pytest.mark.parametrize("status", ["1", "199", "600", "2.2", "ok", "-200"])
def test_a_status_that_is_none_is_an_error(ask: Ask, status: str) -> None:
    answer = ask("POST", "rpc/says", NOTHING | {"status": status})
    assert (answer.status_code, problem_of(answer)["code"]) == (500, "PGRST112")


def test_what_one_call_says_is_not_said_of_the_next(ask: Ask) -> None:
    ask("POST", "rpc/says", {"status": "202", "headers": '[{"X-One": "1"}]'})
    answer = ask("POST", "rpc/add_them", {"a": 1, "b": 2})
    assert (answer.status_code, "x-one" in answer.headers) == (200, False)


def test_a_function_knows_its_request_but_no_credential(ask: Ask) -> None:
    assert ask("GET", "rpc/asked?name=method").json() == "GET"
    assert ask("GET", "rpc/asked?name=path").json() == "/rpc/asked"
    headers = ask("GET", "rpc/asked?name=headers", x_own="mine", cookie="a=1", authorization="").json()
    assert '"x-own":"mine"' in headers
    assert not any(name in headers for name in ("x-api-key", "authorization", "cookie"))
    assert ask("GET", "rpc/asked?name=cookies", cookie="a=1; b=2").json() == '{"a":"1","b":"2"}'


def test_records_without_described_columns_are_returned(ask: Ask) -> None:
    assert list(ask("GET", "rpc/a_record").json().values()) == [1, "one"]
    records = ask("POST", "rpc/some_records", {"lowest": 2}).json()
    assert [list(record.values()) for record in records] == [[2, "n2"], [3, "n3"]]


def test_the_first_object_of_an_array_has_the_arguments(ask: Ask) -> None:
    assert ask("POST", "rpc/add_them", [{"a": 1, "b": 2}, {"a": 5, "b": 5}]).json() == 3


def test_columns_are_the_members_that_count(ask: Ask) -> None:
    assert ask("POST", "rpc/add_them?columns=a,b", {"a": 1, "b": 2, "c": 3}).json() == 3


def test_a_form_gives_a_variadic_argument_several_times(ask: Ask) -> None:
    form = "application/x-www-form-urlencoded"
    assert ask("POST", "rpc/joined", "v=a&v=b", content_type=form).json() == "a/b"
    assert ask("POST", "rpc/joined", "v=a", content_type=form).json() == "a"


@pytest.mark.parametrize(
    ("body", "media_type", "answer"),
    [
        ("hi", "text/plain", "text hi"),
        ("", "text/plain", "nothing"),
        ('{"b":1}', "application/json", 'json {"b":1}'),
        ('{"a":1}', "application/json", "a 1"),
        ("{}", "application/json", "nothing"),
        ("a\n1", "text/csv", "a 1"),
    ],
)
def test_the_body_chooses_the_overload(ask: Ask, body: str, media_type: str, answer: str) -> None:
    assert ask("POST", "rpc/whole", body, content_type=media_type).json() == answer


def test_a_filter_may_have_the_name_of_an_argument(ask: Ask) -> None:
    assert ask("GET", "rpc/add_them?a=1&b=2&b=5").json() == 6
    path = "rpc/with_default?name=me"
    assert ask("GET", path + "&name=eq.me").status_code == 404
    assert ask("GET", "rpc/with_default?name=eq.me").json() == "Hello eq.me"


def test_a_count_of_values_is_told(ask: Ask) -> None:
    for preference, count in (("", "*"), ("count=exact", "1"), ("count=planned", "1"), ("count=estimated", "1")):
        answer = ask("GET", "rpc/add_them?a=1&b=2", prefer=preference)
        assert answer.headers["content-range"] == f"0-0/{count}"
    assert ask("GET", "rpc/all_projects", prefer="count=planned").headers["content-range"] == "0-4/5"


def test_a_range_counts_for_get_alone(ask: Ask) -> None:
    for method, rows in (("GET", "1-1/*"), ("POST", "0-4/*"), ("HEAD", "0-4/*")):
        assert ask(method, "rpc/all_projects", range="1-1").headers["content-range"] == rows


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_no_calls(ask: Ask, method: str) -> None:
    answer = ask(method, "rpc/add_them")
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (405, "PGRST101")
    assert problem["message"] == f"Cannot use the {method} method on RPC"


def test_an_unknown_function_is_told_with_the_names_of_the_body(ask: Ask) -> None:
    problem = problem_of(ask("POST", "rpc/unknown_one", {"b": 1, "a": 2}))
    assert problem["message"] == "Could not find the function awkward.unknown_one(a, b) in the schema cache"


def test_methods_are_those_that_can_be_done(ask: Ask) -> None:
    def allowed(path: str) -> set[str]:
        return set(ask("OPTIONS", path).headers["allow"].split(", ")) - {"OPTIONS"}

    assert allowed("rpc/writes") == {"POST"}
    assert allowed("rpc/add_them") == {"GET", "HEAD", "POST"}
    assert allowed("counts") == {"GET", "HEAD"}
    assert allowed("keyless") == {"GET", "HEAD", "POST", "PATCH", "DELETE"}


def test_a_trigger_knows_the_request_and_sets_status_and_headers(ask: Ask) -> None:
    answer = ask("POST", "answered", {"id": 1}, prefer="return=representation")
    assert (answer.status_code, answer.json()) == (202, [{"id": 1, "seen": "POST"}])
    assert (answer.headers["x-own"], answer.headers["location"]) == ("yes", "/elsewhere")
    assert "x-own" not in ask("POST", "only_key", {"id": 1}).headers


def test_what_one_operation_of_a_batch_says_is_not_said_of_the_next(ask: Ask) -> None:
    operations = [
        {"method": "POST", "path": "/answered", "body": {"id": 1}},
        {"method": "POST", "path": "/named_clients", "body": {"id": 71, "name": "x"}},
        {"method": "POST", "path": "/rpc/anything", "body": {}},
    ]
    answer = ask("POST", "-/batch", {"operations": operations})
    assert [item["status"] for item in answer.json()] == [202, 201, 200], answer.text
    assert answer.json()[2]["body"] == "anything"
