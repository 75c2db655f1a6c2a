"""The users. What they call is named `kind what`: thresholds are set by kind."""

import random
import re
from collections import deque
from collections.abc import Mapping
from html import unescape
from typing import ClassVar
from uuid import uuid4

import gevent
from locust import FastHttpUser, User, between, task
from locust.exception import StopUser

from loadtests.load.following import Follower
from loadtests.load.ledger import Ledger, deleted

_FLIGHTS = 336_776
_TABLE = "/api/v1/planes"
_DESTINATIONS = ("ATL", "BOS", "IAH", "LAX", "MIA", "ORD", "SFO", "SEA")
_CARRIERS = ("AA", "B6", "DL", "EV", "UA", "WN")
_MOST_ROWS = 20
_HIDDEN = re.compile(r'name="(csrf|version|was\.model|change|back)" value="([^"]*)"')
_MODEL = re.compile(r'name="was\.model" value="([^"]*)"')
_UNDO = re.compile(r'href="([^"]*/admin/-/undo\?change=[^"]*)"')


class Ground:
    """What all users of a run share: set before the first of them starts."""

    ledger = Ledger()
    headers: ClassVar[dict[str, str]] = {}
    email = ""
    password = ""
    has_aggregates = False


class Caller(FastHttpUser):
    """Who calls the API with a key, and thinks in between."""

    abstract = True
    wait_time = between(0.5, 1.5)

    def call(
        self, method: str, path: str, name: str, *, expected: tuple[int, ...] = (200,), headers: Mapping[str, str] = {},
        json: object = None,
    ) -> "Answer":  # fmt: skip
        """Ask, and count every status as a failure that was not expected."""
        sent = Ground.headers | dict(headers)
        with self.client.request(method, path, name=name, headers=sent, json=json, catch_response=True) as answer:
            if answer.status_code in expected:
                answer.success()
            elif answer.status_code:
                answer.failure(f"{answer.status_code} {_code_of(answer.text)}")
            return Answer(answer.status_code, answer.headers or {}, answer.text or "")

    def plane(self, mark: str) -> dict[str, object]:
        row: dict[str, object] = {"type": "Load", "manufacturer": "Rowhouse", "model": mark}
        return row | {"engines": 2, "seats": random.randint(2, 400), "engine": "Turbo-fan"}


class Answer:
    """A status, headers and a text: what users look at."""

    def __init__(self, status: int, headers: Mapping[str, str], text: str) -> None:
        self.status = status
        self.etag = headers.get("etag", "")
        self.location = headers.get("location", "")
        self.text = text


class Dashboard(Caller):
    """Reads as a Shiny app does, and follows by Server-Sent Events."""

    def on_start(self) -> None:
        self.etags: dict[str, str] = {}
        follow(self, "SSE")

    @task(5)
    def page_of_a_list(self) -> None:
        where = f"dest=eq.{random.choice(_DESTINATIONS)}&month=eq.{random.randint(1, 12)}"
        self.call("GET", f"/api/v1/flights?{where}&order=arr_delay.desc.nullslast&limit=50", "read list")

    @task(3)
    def with_what_it_refers_to(self) -> None:
        select = "flight,arr_delay,airline(name),plane(model),origin_airport(name)"
        where = f"id=gt.{random.randrange(_FLIGHTS)}&order=id&limit=25"
        self.call("GET", f"/api/v1/flights?select={select}&{where}", "read embedded")

    @task(2)
    def counted(self) -> None:
        where = f"carrier=eq.{random.choice(_CARRIERS)}&month=eq.{random.randint(1, 12)}"
        self.call("GET", f"/api/v1/flights?{where}&limit=10", "read counted", expected=(200, 206),
                  headers={"Prefer": "count=exact"})  # fmt: skip

    @task(2)
    def aggregated(self) -> None:
        if Ground.has_aggregates:
            where = f"origin=eq.JFK&month=eq.{random.randint(1, 12)}"
            self.call("GET", f"/api/v1/flights?select=carrier,count(),arr_delay.avg()&{where}", "read aggregated")

    @task(4)
    def a_row_again(self) -> None:
        path = f"/api/v1/flights/{random.randint(1, 20)}"
        known = self.etags.get(path)
        answer = self.call("GET", path, "read row again" if known else "read row", expected=(304,) if known else (200,),
                           headers={"If-None-Match": known} if known else {})  # fmt: skip
        self.etags[path] = answer.etag or known or ""


class Notebook(Caller):
    """Takes a month or a carrier away as a file."""

    wait_time = between(2, 5)

    @task(2)
    def csv(self) -> None:
        self._export("csv", f"month=eq.{random.randint(1, 12)}")

    @task(2)
    def arrow(self) -> None:
        self._export("arrow", f"carrier=eq.{random.choice(_CARRIERS)}")

    @task(1)
    def parquet(self) -> None:
        self._export("parquet", f"month=eq.{random.randint(1, 12)}")

    def _export(self, form: str, where: str) -> None:
        with self.client.get(f"/api/v1/flights?{where}&format={form}", name=f"export {form}", headers=Ground.headers,
                             catch_response=True) as answer:  # fmt: skip
            if answer.status_code == 200 and answer.content:
                answer.success()
            elif answer.status_code:
                answer.failure(f"{answer.status_code} {_code_of(answer.text)}")


class Service(Caller):
    """Writes rows of its own on top of the versions that it knows, and sends what it is unsure of again."""

    def on_start(self) -> None:
        self.rows: deque[tuple[str, str]] = deque()  # key and version

    @task(3)
    def add(self) -> None:
        if len(self.rows) < _MOST_ROWS:
            self._add({"Idempotency-Key": uuid4().hex})
        else:
            self._remove()

    @task(5)
    def change(self) -> None:
        if not self.rows:
            return
        key, version = self.rows.popleft()
        mark = Ground.ledger.next_mark()
        Ground.ledger.send(mark)
        answer = self.call("PATCH", f"{_TABLE}/{key}", "write change", headers={"If-Match": version},
                           json={"model": mark})  # fmt: skip
        if answer.status == 200:
            Ground.ledger.commit(mark)
            self.rows.append((key, answer.etag))

    @task(1)
    def batch(self) -> None:
        ledger, key = Ground.ledger, Ground.ledger.next_key()
        first, second = ledger.next_mark(), ledger.next_mark()
        ledger.send(first, second, deleted(key))
        operations = [
            {"method": "POST", "path": "/planes", "body": {"tailnum": key} | self.plane(first)},
            {"method": "PATCH", "path": f"/planes/{key}", "body": {"model": second}},
            {"method": "DELETE", "path": f"/planes/{key}"},
        ]
        if self.call("POST", "/api/v1/-/batch", "write batch", json={"operations": operations}).status == 200:
            ledger.commit(first, second, deleted(key))

    @task(1)
    def repeat(self) -> None:
        once = {"Idempotency-Key": uuid4().hex}
        added = self._add(once)
        if added is not None:
            again = self.call("POST", _TABLE, "write repeat", expected=(201,), headers=once, json=added)
            if again.status == 201 and again.etag != self.rows[-1][1]:
                raise RuntimeError("A repeat was done again, or answered otherwise.")

    def _add(self, headers: Mapping[str, str]) -> dict[str, object] | None:
        key, mark = Ground.ledger.next_key(), Ground.ledger.next_mark()
        row = {"tailnum": key} | self.plane(mark)
        Ground.ledger.send(mark)
        answer = self.call("POST", _TABLE, "write add", expected=(201,), headers=headers, json=row)
        if answer.status != 201:
            return None
        Ground.ledger.commit(mark)
        self.rows.append((key, answer.etag))
        return row

    def _remove(self) -> None:
        key, _ = self.rows.popleft()
        Ground.ledger.send(deleted(key))
        if self.call("DELETE", f"{_TABLE}/{key}", "write remove", expected=(204,)).status == 204:
            Ground.ledger.commit(deleted(key))


class Operator(Caller):
    """Logs in to the back-office, looks for a row, edits it on top of what it saw, and takes that back."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        self.key = Ground.ledger.next_key()
        row = {"tailnum": self.key} | self.plane(self.key)
        if self.call("POST", _TABLE, "write add", expected=(201,), json=row).status != 201:
            raise StopUser
        csrf = dict(_HIDDEN.findall(self._page("login", "page login")))
        if not self._send("login", csrf | {"email": Ground.email, "password": Ground.password}, "page log in"):
            raise StopUser

    @task(3)
    def look(self) -> None:
        self._page(f"planes/list?-q={self.key}", "page search")
        self._page("flights/list", "page list")

    @task(2)
    def edit(self) -> None:
        path, mark = f"planes/edit/{self.key}", Ground.ledger.next_mark()
        form = self._form(path, "page edit")
        Ground.ledger.send(mark)
        if form and self._send(path, form | {"now.model": mark}, "page save"):
            Ground.ledger.commit(mark)

    @task(1)
    def undo(self) -> None:
        changes = _UNDO.findall(self._page(f"planes/history/{self.key}", "page history"))
        if len(changes) > 1:  # the first of all is its insert, which stays
            address = unescape(changes[0]).partition("/admin/")[2]
            if form := self._form(address, "page undo"):
                self._send("-/undo", form, "page take back")

    def _page(self, path: str, name: str) -> str:
        with self.client.get(f"/admin/{path}", name=name, allow_redirects=False, catch_response=True) as answer:
            if answer.status_code == 200:
                answer.success()
            elif answer.status_code:
                answer.failure(f"{answer.status_code}")
            return answer.text or ""

    def _form(self, path: str, name: str) -> dict[str, str]:
        return {field: unescape(value) for field, value in _HIDDEN.findall(self._page(path, name))}

    def _send(self, path: str, form: Mapping[str, str], name: str) -> bool:
        with self.client.post(f"/admin/{path}", name=name, data=dict(form), allow_redirects=False,
                              catch_response=True) as answer:  # fmt: skip
            if answer.status_code == 303:
                answer.success()
                return True
            if answer.status_code:
                answer.failure(f"{answer.status_code}")
            return False


class Listener(User):
    """Follows by WebSocket, and does nothing else."""

    wait_time = between(60, 60)

    def on_start(self) -> None:
        follow(self, "WS")

    @task
    def wait_on(self) -> None:
        """What it does happens in its follower."""


def follow(user: User, transport: str) -> None:
    """Follow this run's rows until the end, also beyond the user's: what was written last is still on its way then."""

    def report(kind: str, name: str, seconds: float, error: Exception | None) -> None:
        user.environment.events.request.fire(
            request_type=kind, name=name, response_time=seconds * 1000, response_length=0, exception=error, context={}
        )

    follower = Follower(transport, user.host or "", Ground.headers, Ground.ledger, report)
    followers.append(gevent.spawn(follower.run))


followers: list[gevent.Greenlet] = []


def _code_of(text: str | None) -> str:
    found = re.search(r'"code":"([^"]+)"', text or "")
    return found[1] if found else ""
