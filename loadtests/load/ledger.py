"""Whether those who follow see every change that was committed, once.

A change has a mark that no other has. It is noted when its request is sent, and counts once the answer says that it
was committed. Who follows must see what was sent after they had caught up.
"""

import itertools
from dataclasses import dataclass, field
from math import inf
from secrets import token_hex
from time import perf_counter


@dataclass(slots=True)
class View:
    """What one follower has seen. `since`: from when on it must see everything; before it has caught up, never."""

    since: float = inf
    marks: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    repeated: int = 0
    breaks: int = 0

    def take(self, number: str, mark: str) -> bool:
        """Note an event by its number in the log. Returns whether its mark is new here."""
        is_new = mark not in self.marks
        self.marks.add(mark)
        self.repeated += number in self.numbers
        self.numbers.add(number)
        return is_new


class Ledger:
    """The changes of one run, and who sees them."""

    def __init__(self) -> None:
        self.run = token_hex(4)
        self.prefix = f"LOAD-{self.run}-"
        self.views: list[View] = []
        self._numbers = itertools.count(1)
        self._sent: dict[str, float] = {}
        self._committed: dict[str, float] = {}

    def next_mark(self) -> str:
        return f"{self.run}.{next(self._numbers)}"

    def next_key(self) -> str:
        """The key of a row that is this run's own."""
        return f"{self.prefix}{next(self._numbers)}"

    def send(self, *marks: str) -> None:
        """Changes with these marks are about to be asked for."""
        now = perf_counter()
        self._sent.update(dict.fromkeys(marks, now))

    def commit(self, *marks: str) -> None:
        """The service has answered that they are committed."""
        for mark in marks:
            self._committed[mark] = self._sent[mark]

    def sent_at(self, mark: str) -> float | None:
        return self._sent.get(mark)

    def lost(self, view: View) -> set[str]:
        """What the follower should have seen and has not."""
        return {mark for mark, sent in self._committed.items() if sent >= view.since} - view.marks

    @property
    def committed(self) -> int:
        return len(self._committed)

    @property
    def behind(self) -> int:
        """Those who never caught up."""
        return sum(view.since == inf for view in self.views)

    @property
    def all_lost(self) -> int:
        return sum(len(self.lost(view)) for view in self.views)

    @property
    def all_repeated(self) -> int:
        return sum(view.repeated for view in self.views)


def deleted(key: str) -> str:
    """The mark of a delete, whose event carries the key alone."""
    return f"-{key}"
