"""What a load run judges by."""

from math import inf

import pytest

from loadtests.load.ledger import Ledger, View, deleted
from loadtests.load.thresholds import Kind, Thresholds, judge, parse_limits

_STRICT = Thresholds(0.0, {"read": 100}, {"read": 200})


def _kind(times: dict[int, int], failures: int = 0) -> Kind:
    kind = Kind("read")
    kind.add(sum(times.values()), failures, times)
    return kind


def test_percentiles_are_those_of_all_that_was_added() -> None:
    kind = _kind({10: 90, 50: 5})
    kind.add(5, 0, {500: 5})
    assert (kind.at(0.5), kind.at(0.95), kind.at(0.99)) == (10, 50, 500)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (_kind({10: 94, 150: 6}), "p95 of read is 150 ms; most: 100 ms."),
        (_kind({10: 98, 250: 2}), "p99 of read is 250 ms; most: 200 ms."),
        (_kind({10: 100}, failures=1), "1 of 100 requests failed, 1.00%; most: 0%."),
        (Kind("read"), "Nothing was asked."),
    ],
    ids=["p95", "p99", "failures", "nothing"],
)
def test_what_is_over_a_threshold_is_a_fault(kind: Kind, fault: str) -> None:
    assert judge([kind], _STRICT, 0, 0, 0) == [fault]


def test_within_all_thresholds_is_no_fault() -> None:
    assert judge([_kind({100: 95, 200: 5})], _STRICT, 0, 0, 0) == []


def test_lost_and_repeated_events_are_faults() -> None:
    assert len(judge([_kind({10: 1})], _STRICT, 1, 1, 1)) == 3


@pytest.mark.parametrize("text", ["read", "read=fast", "read=0", "=5"])
def test_a_threshold_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"threshold|could not convert"):
        parse_limits(text)


def test_what_was_committed_after_a_follower_had_caught_up_must_be_seen() -> None:
    ledger, late, early = Ledger(), View(), View(since=0.0)
    ledger.views += [early, late]
    ledger.send("seen", "missed", "refused")
    ledger.commit("seen", "missed")
    early.take("1", "seen")
    assert ledger.lost(early) == {"missed"}
    assert ledger.lost(late) == set()
    assert (ledger.all_lost, ledger.behind, late.since) == (1, 1, inf)


def test_an_event_that_comes_twice_is_told_from_another_of_the_same_row() -> None:
    ledger, view = Ledger(), View(since=0.0)
    ledger.views.append(view)
    key = ledger.next_key()
    assert view.take("1", deleted(key))
    assert not view.take("2", deleted(key))
    assert ledger.all_repeated == 0
    view.take("2", deleted(key))
    assert ledger.all_repeated == 1
