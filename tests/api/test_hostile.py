"""Input that means harm, or is merely broken: each is a 4xx problem document, none a 5xx, none shows SQL.

Sent byte for byte over a socket, since a well-behaved client would mend much of it.
"""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

import orjson
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.service_under_test import Service

_INJECTIONS = (
    "'", "''", '"', "\\", ";", "--", "/*", "' or '1'='1", "1; drop table flights", "1) or (1=1", "$1", "$$", ":x", "%s",
    "%(x)s", "{0}", "${jndi:ldap://x}", "'; select pg_sleep(9); --", "1 union select password_hash from rowhouse.users",
    "(select 1)", "pg_sleep(9)", "\r\nX-Evil: 1", "<script>alert(1)</script>", "../../etc/passwd", "\u202e",
    "\ufeff",
    "\U0010ffff", "a" * 3000, "0xZZ", "1e999", "-", "", " ", "NaN", "infinity", "null", "[]", "{}", "true",
    "99999999999999999999", "-99999999999999999999", "1.5", "١٢",
)  # fmt: skip
_OPERATORS = ("", "eq", "eq.", ".eq", "eqq.1", "eq(any).1", "not", "not.not.eq.1", "in.1", "in.(", "in.(1", "in.)",
              "is.", "is.maybe", "fts(nope).x", "cs.{1}", "adj.[1,2]", "like", "match.(", "imatch.[",
              "match.a{99999}")  # fmt: skip
_SELECTS = ("(", ")", "*,", ",*", "a(b", "a(b)c", "a!b!c(d)", "id::regclass", "id::", "::text", "id:", ":id",
            "id:id:id", "...airline(nope)", "id->", "id.sum()", "count()", "*,*,id::text", "airline(*),airline(*)",
            "airports(*)", "airline(airline(*))", '"', '"id', "pg_sleep(9)", "password_hash", "xmin", "ctid",
            "tableoid", "id;id")  # fmt: skip
_ORDERS = (
    "id.",
    "id.up",
    ".desc",
    "id desc",
    "id.desc.nullslast.x",
    "(id)",
    "1",
    "airline(name)",
    "id,",
    ",id",
    "pg_sleep(9)",
)
_NUMBERS = ("-1", "x", "1.5", "1e3", "", "9" * 30, "٣", " 1", "0x1", "null")
_BODIES = (
    b"", b"{", b"[", b"null", b"1", b'"a"', b"[1]", b"[[]]", b"[{}]", b"{}", b'{"id":}', b"\xff\xfe", b"\x00",
    b'{"carrier":"\\ud800","name":"x"}', b'{"carrier":"\\u0000","name":"x"}', b'{"carrier":NaN}', b"[" * 5000,
    b'{"a":' * 5000, b'{"no such column":1}', b'{"carrier":{"a":1}}', b'{"carrier":null,"name":"x"}',
    b'{"carrier":"_x"}', b'{"carrier":"_x","name":null}', b"carrier=_x&name=y", b"<xml/>", b'{"__proto__":1}',
    b'{"carrier":"_x","name":"y","carrier; drop table airlines":1}', b'[{"carrier":"_x","name":"y"},{"carrier":"_y"}]',
    b'{"' + b"x" * 5000 + b'":1}', b"{'carrier':'x'}", b'{"carrier":"_x","name":"y",}',
)  # fmt: skip
_FLIGHTS = (
    b'{"year":"NA"}', b'{"year":99999}', b'{"year":1.5}', b'{"year":{}}', b'{"year":[1]}', b'{"id":"x"}',
    b'{"time_hour":"soon"}', b'{"time_hour":1e400}', b'{"time_hour":"9999999-01-01"}', b'{"carrier":"??"}',
    b'{"flight":"1; drop table flights"}', b'{"dep_delay":"' + b"9" * 400 + b'"}', b'{"year":true}', b'{"id":1e30}',
)  # fmt: skip
_TAGS = ("x", '"', '""x', "1", '"a', "\x7f", "W/", '"a","b', "'a'")
_CREDENTIALS = ("rh_", "rh_'or 1=1", "x" * 3000, "\xff", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "rh_00000000_" + "a" * 43)


@dataclass(frozen=True)
class Attack:
    """A request, byte for byte, and whether an orderly answer may also be a success (the input is legal after all)."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    may_succeed: bool = False

    def encode(self, key: str) -> bytes:
        headers = [("Host", "localhost"), ("Connection", "close"), *self.headers]
        names = {name.lower() for name, _ in headers}
        if not names & {"x-api-key", "authorization"}:
            headers.append(("X-API-Key", key))
        if self.body or self.method in ("POST", "PATCH", "PUT"):
            headers.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + self.body


def attacks() -> Iterator[Attack]:
    flights, airlines = "/api/v1/flights", "/api/v1/airlines"
    for text in _INJECTIONS:
        value = quote(text)
        yield Attack("GET", f"{flights}?id=eq.{value}")
        yield Attack("GET", f"{flights}?time_hour=gt.{value}", may_succeed=text == "infinity")
        yield Attack("GET", f"{flights}?{value}=eq.1", may_succeed=True)
        yield Attack("GET", f"{airlines}?name=eq.{value}", may_succeed=True)
        yield Attack("GET", f"{flights}?select={value}", may_succeed=text == "")
        yield Attack("GET", f"{flights}?order={value}", may_succeed=text == "")
        yield Attack("GET", f"{flights}?or={value}")
        yield Attack("GET", f"{flights}/{value}", may_succeed=True)
        yield Attack("GET", f"/api/v1/{value}", may_succeed=True)
        yield Attack("GET", f"{airlines}?limit=1&cursor={value}")
        yield Attack("DELETE", f"{airlines}/{value}", may_succeed=True)
    for text in _OPERATORS:
        yield Attack("GET", f"{flights}?id={quote(text)}", may_succeed=False)
        yield Attack("GET", f"{airlines}?name={quote(text)}", may_succeed=text == "eq.")
        yield Attack("DELETE", f"{flights}?id={quote(text)}")
    for text in _SELECTS:
        yield Attack("GET", f"{flights}?limit=1&select={quote(text)}")
    for text in _ORDERS:
        yield Attack("GET", f"{flights}?limit=1&order={quote(text)}")
    for text in _NUMBERS:
        yield Attack("GET", f"{flights}?limit={quote(text)}")
        yield Attack("GET", f"{flights}?limit=1&offset={quote(text)}", may_succeed=text == "-1")
    for body in _BODIES:
        for method, target in (("POST", airlines), ("PATCH", f"{airlines}/UA"), ("PUT", f"{airlines}/_x")):
            may_succeed = method != "POST" and body in (b'{"carrier":"_x"}',)
            yield Attack(method, target, (("Content-Type", "application/json"),), body, may_succeed)
    for body in _FLIGHTS:
        yield Attack("PATCH", f"{flights}/1", (("Content-Type", "application/json"),), body)
        yield Attack("POST", flights, (("Content-Type", "application/json"),), body)
    for tag in _TAGS:
        yield Attack(
            "PATCH", f"{airlines}/UA", (("If-Match", tag), ("Content-Type", "application/json")), b'{"name":"x"}'
        )
        yield Attack("GET", f"{airlines}/UA", (("If-None-Match", tag),))
    for credential in _CREDENTIALS:
        yield Attack("GET", f"{airlines}/UA", (("X-API-Key", credential),))
        yield Attack("GET", f"{airlines}/UA", (("Authorization", f"Bearer {credential}"),))
    yield from _odd_requests(flights, airlines)


def _odd_requests(flights: str, airlines: str) -> Iterator[Attack]:
    for target in (
        f"{flights}?id=eq.%00", f"{flights}?id=eq.%ff", f"{flights}?%00=eq.1", f"{flights}/%00", f"{flights}/%ff",
        "/api/v1/%ff", "/api/v1/%00", f"{flights}?select=%00", f"{airlines}?name=like.%00", f"{airlines}/a/b/c",
        f"{flights}/1/-/future", "/api/v1/rpc/pg_sleep", "/api/v1/-/nothing", "/api/v1/pg_catalog.pg_class",
        "/api/v1/rowhouse.users", "/api/v1/users", "/api/v1/alembic_version", f"{flights}?or=" + "(and" * 50,
        f"{flights}?or=" + "(or(" * 200 + "id.eq.1" + "))" * 200, f"{flights}?select=" + "airline(" * 50 + ")" * 50,
        "/assets/..%2f..%2fcore.py", "/static/../../main.py", "/api/v1/../../etc/passwd", "/" + "a" * 20000,
        f"{flights}?" + "&".join(["id=eq.1"] * 3000),
    ):  # fmt: skip
        yield Attack("GET", target, may_succeed=target.endswith("id=eq.1"))
    for method in ("TRACE", "CONNECT", "PROPFIND", "FOO", "PUT", "get"):
        yield Attack(method, flights)
    yield Attack("GET", flights, (("Accept", "text/html"),))
    yield Attack("POST", airlines, (("Content-Type", "text/csv"),), b"carrier,name\n_x")
    yield Attack(
        "POST", airlines, (("Content-Type", "application/json"), ("Prefer", "handling=strict, tx=maybe")), b"{}"
    )
    yield Attack("DELETE", airlines, (("Prefer", "max-affected=-1"),))
    yield Attack("DELETE", airlines, (("Prefer", "max-affected=" + "9" * 99),))
    yield Attack("POST", "/api/v1/-/auth/token", (("Content-Type", "application/json"),), b"{")
    yield Attack(
        "POST",
        "/api/v1/-/auth/token",
        (("Content-Type", "application/x-www-form-urlencoded"),),
        b"username=%00&password=%00",
    )
    yield Attack(
        "POST",
        "/api/v1/-/auth/refresh",
        (("Content-Type", "application/x-www-form-urlencoded"),),
        b"refresh_token=" + b"x" * 5000,
    )
    yield Attack(
        "POST",
        "/api/v1/-/auth/refresh",
        (("Content-Type", "application/x-www-form-urlencoded"),),
        b"refresh_token=%ff%00",
    )
    yield Attack(
        "POST", "/api/v1/-/auth/token", (("Content-Type", "multipart/form-data; boundary=x"),), b"--x\r\nbroken"
    )


ATTACKS = tuple(attacks())
_SQL = re.compile(
    rb"select .* from |insert into|update .* set|\$\d::|asyncpg|sqlalchemy|traceback|File \"|row_to_json", re.I
)


def send(service: Service, attack: Attack) -> tuple[int, bytes, bytes]:
    """The raw exchange: status, head and body."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(attack.encode(service.keys[Role.EDITOR]))
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), head, body


def test_there_are_enough_of_them() -> None:
    assert len(set(ATTACKS)) >= 500


@pytest.mark.parametrize("part", range(20))
def test_hostile_input_is_answered_in_order(service: Service, part: int) -> None:
    for attack in ATTACKS[part::20]:
        status, head, body = send(service, attack)
        shown = f"{attack.method} {attack.target[:120]} {attack.headers} {attack.body[:80]!r} → {status} {body[:300]!r}"
        allowed = range(200, 500) if attack.may_succeed else range(300, 500)
        assert status in allowed, shown
        assert not (status == 304 and attack.method != "GET"), shown
        if status >= 300 and b"problem+json" in head:
            echoed = unquote_to_bytes(attack.target) + attack.body
            assert orjson.loads(body)["status"] == status, shown
            assert not _SQL.search(body) or _SQL.search(echoed), shown
        elif not 200 <= status < 300:
            # What is no HTTP at all is refused by the server itself, before any application.
            assert body.startswith(b"Invalid HTTP request"), shown


def test_nothing_was_written_by_it(service: Service, database: Database) -> None:
    for attack in ATTACKS:
        if attack.method != "GET":
            send(service, attack)
    counts = database.execute("select (select count(*) from airlines), (select count(*) from flights)")[0]
    name = database.execute("select name from airlines where carrier = 'UA'")[0][0]
    database.execute("delete from airlines where carrier = '_x'")
    assert tuple(counts) == (16, 336_776)
    assert name == "United Air Lines Inc."
