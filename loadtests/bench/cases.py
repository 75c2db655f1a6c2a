"""The cases, and the requests that each of them replays."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from loadtests.bench.apps import App

# Stands in a body for a number that no other request of a run has.
NUMBER = "{n}"
# The rows that POST makes, and no flight of 2013 has.
POSTED_HOUR = "2050-01-01T00:00:00+00:00"
_LINES = 20_000
# A prime: a row that is written again gets another delay. An ORM does not write what is there already.
_MOST_DELAY = 29_989
_LARGEST = 2_000_000_000


class Case(StrEnum):
    GET_ONE = "get-one"
    LIST_100 = "list-100"
    LIST_1000 = "list-1000"
    EMBEDDED = "embedded"
    POST = "post"
    PATCH = "patch"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def method(self) -> str:
        return self.name if self.is_write else "GET"

    @property
    def is_write(self) -> bool:
        return self in (Case.POST, Case.PATCH)

    @property
    def status(self) -> int:
        return 201 if self is Case.POST else 200

    @property
    def page_size(self) -> int:
        """The rows of a page; 0 where the case has none."""
        return _PAGE_SIZES.get(self, 0)

    @property
    def numbers(self) -> int:
        """`NUMBER` counts up to this and begins again: a delay is a smallint."""
        return _MOST_DELAY if self is Case.PATCH else _LARGEST


_LABELS = {
    Case.GET_ONE: "GET one",
    Case.LIST_100: "list 100",
    Case.LIST_1000: "list 1,000",
    Case.EMBEDDED: "nested 100",
    Case.POST: "POST",
    Case.PATCH: "PATCH",
}
_PAGE_SIZES = {Case.LIST_100: 100, Case.LIST_1000: 1000, Case.EMBEDDED: 100}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its path, and its body with `NUMBER` inside, or none."""

    path: str
    body: str = ""

    def numbered(self, number: int) -> str:
        return self.body.replace(NUMBER, str(number))


def calls(case: Case, app: App, flights: int) -> Iterator[Call]:
    """Requests without end, the same for every application. `flights` is the greatest id of all; the least is 1."""
    rng = random.Random(case)
    while True:
        number = rng.randint(1, flights)
        match case:
            case Case.GET_ONE:
                yield Call(app.one_path(number))
            case Case.LIST_100 | Case.LIST_1000:
                yield Call(app.page_path(min(number, flights - case.page_size), case.page_size))
            case Case.EMBEDDED:
                yield Call(app.embedding_path(min(number, flights - case.page_size), case.page_size))
            case Case.POST:
                yield Call(app.flights, _new_flight(rng))
            case Case.PATCH:
                yield Call(app.one_path(number), f'{{"dep_delay":{NUMBER}}}')


def write_calls(case: Case, app: App, flights: int, path: Path) -> None:
    """A file for the load generators: a path and a body a line, parted by a tab."""
    source = calls(case, app, flights)
    with path.open("w") as file:
        file.writelines(f"{call.path}\t{call.body}\n" for call, _ in zip(source, range(_LINES), strict=False))


def _new_flight(rng: random.Random) -> str:
    row = {
        "year": 2050,
        "month": 1,
        "day": 1,
        "dep_time": None,
        "sched_dep_time": rng.randint(500, 559),
        "dep_delay": rng.randint(-10, 120),
        "arr_time": 830,
        "sched_arr_time": 819,
        "arr_delay": rng.randint(-40, 120),
        "carrier": rng.choice(("AA", "B6", "DL", "UA", "WN")),
        "flight": NUMBER,
        "tailnum": f"N{rng.randint(100, 999)}RH",
        "origin": rng.choice(("EWR", "JFK", "LGA")),
        "dest": rng.choice(("ATL", "BOS", "IAH", "MIA", "ORD", "SFO")),
        "air_time": rng.randint(40, 360),
        "distance": rng.randint(180, 2600),
        "hour": 5,
        "minute": 15,
        "time_hour": POSTED_HOUR,
    }
    return json.dumps(row, separators=(",", ":")).replace(f'"{NUMBER}"', NUMBER)
