"""For Locust itself: `locust -f loadtests/load/locustfile.py`. One process, since what was seen is compared with what
was written. Credentials come from the environment: LOAD_KEY (an editor's), LOAD_EMAIL, LOAD_PASSWORD (an operator's).
"""

import json
import os
from argparse import ArgumentTypeError
from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from time import time
from typing import Any

import gevent
import requests
from locust import User, events
from locust.env import Environment

from loadtests.load.run import WINDOW_SECONDS
from loadtests.load.thresholds import P95, P99, Kind, Thresholds, judge, parse_limits
from loadtests.load.users import Dashboard, Ground, Listener, Notebook, Operator, Service, followers

__all__ = ["Dashboard", "Listener", "Notebook", "Operator", "Service"]

_WEIGHTS: dict[type[User], int] = {Dashboard: 8, Notebook: 1, Operator: 2, Service: 6, Listener: 3}
_CATCH_UP_SECONDS = 15


def _add_options(parser: Any) -> None:
    group = parser.add_argument_group("Rowhouse")
    for user, weight in _WEIGHTS.items():
        name = f"{user.__name__.lower()}s"
        group.add_argument(f"--{name}", type=int, default=weight, env_var=f"LOAD_{name.upper()}", help="Weight.")
    group.add_argument("--most-failures", type=float, default=0.1, help="Failures in a hundred requests.")
    group.add_argument("--p95", type=_limits, default=P95, help="Most milliseconds by kind.")
    group.add_argument("--p99", type=_limits, default=P99, help="Most milliseconds by kind.")
    group.add_argument("--result", default="", help="File for the result (JSON).")
    group.add_argument("--windows", default="", help=f"File for figures of each {WINDOW_SECONDS} s (JSON lines).")


def _limits(text: str) -> dict[str, float]:
    try:
        return parse_limits(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _weigh(environment: Environment, **_: object) -> None:
    options = environment.parsed_options
    assert options is not None
    weights = {user: getattr(options, f"{user.__name__.lower()}s") for user in _WEIGHTS}
    environment.user_classes[:] = [user for user, weight in weights.items() if weight > 0]
    for user in environment.user_classes:
        user.weight = weights[user]
    if options.windows:
        _watch(environment, Path(options.windows))


def _prepare(environment: Environment, **_: object) -> None:
    """Say at once what is missing, rather than count a thousand refusals."""
    Ground.headers = {"X-API-Key": os.environ.get("LOAD_KEY", "")}
    Ground.email, Ground.password = os.environ.get("LOAD_EMAIL", ""), os.environ.get("LOAD_PASSWORD", "")
    try:
        if not Ground.headers["X-API-Key"]:
            raise ValueError("LOAD_KEY is not set: it is the API key of an editor.")
        if Operator in environment.user_classes and not (Ground.email and Ground.password):
            raise ValueError("LOAD_EMAIL and LOAD_PASSWORD are not set: they are an operator's. Or: --operators 0.")
        probe = f"{environment.host}/api/v1/flights?limit=1"
        answer = requests.get(probe, headers=Ground.headers, timeout=10)
        if answer.status_code != HTTPStatus.OK:
            raise ValueError(f"{probe} answers {answer.status_code}: {answer.text[:200]}")
        counted = requests.get(f"{probe}&select=count()", headers=Ground.headers, timeout=10)
        Ground.has_aggregates = counted.status_code == HTTPStatus.OK
    except (ValueError, requests.RequestException) as error:
        _finish(environment, [str(error)])
        assert environment.runner is not None
        environment.runner.quit()


def _end(environment: Environment, **_: object) -> None:
    """All users have stopped: followers may catch up, this run's rows go, and it is judged."""
    options = environment.parsed_options
    if environment.process_exit_code is not None or options is None:
        return
    ledger = Ground.ledger
    ends_at = time() + _CATCH_UP_SECONDS
    while (ledger.all_lost or ledger.behind) and time() < ends_at:
        gevent.sleep(0.1)
    gevent.killall(followers)
    url = f"{environment.host}/api/v1/planes?tailnum=like.{ledger.prefix}*"
    removed = requests.delete(url, headers=Ground.headers, timeout=30).status_code
    thresholds = Thresholds(options.most_failures, options.p95, options.p99)
    faults = judge(_kinds(environment), thresholds, ledger.all_lost, ledger.all_repeated, ledger.behind)
    if removed != HTTPStatus.NO_CONTENT:
        faults.append(f"The rows of this run were not removed ({removed}): planes like {ledger.prefix}*.")
    _finish(environment, faults)


def _finish(environment: Environment, faults: list[str]) -> None:
    environment.process_exit_code = 1 if faults else 0
    options, ledger = environment.parsed_options, Ground.ledger
    if options is None or not options.result:
        for fault in faults:
            print(fault)
        return
    kinds = [
        {"kind": kind.name, "requests": kind.requests, "failures": kind.failures}
        | {f"p{share}": kind.at(share / 100) for share in (50, 95, 99)}
        for kind in _kinds(environment)
    ]
    seconds = environment.stats.last_request_timestamp or environment.stats.start_time
    result = {
        "faults": faults,
        "kinds": kinds,
        "seconds": round(seconds - environment.stats.start_time, 1),
        "committed": ledger.committed,
        "followers": len(ledger.views),
        "lost": ledger.all_lost,
        "breaks": sum(view.breaks for view in ledger.views),
        "errors": [
            f"{one.method} {one.name}: {one.error} ({one.occurrences})" for one in environment.stats.errors.values()
        ],
    }
    Path(options.result).write_text(json.dumps(result))


def _kinds(environment: Environment) -> Iterator[Kind]:
    kinds: dict[str, Kind] = {}
    for entry in environment.stats.entries.values():
        name = entry.name.partition(" ")[0]
        kinds.setdefault(name, Kind(name)).add(entry.num_requests, entry.num_failures, entry.response_times)
    yield from kinds.values()


def _watch(environment: Environment, path: Path) -> None:
    """Every so many seconds a line: what was asked meanwhile, how often it failed, and p50 and p99 of each kind."""
    kinds: dict[str, Kind] = defaultdict(lambda: Kind(""))

    def note(name: str, response_time: float | None, exception: Exception | None, **_: object) -> None:
        times = {} if response_time is None else {round(response_time): 1}
        kinds[name.partition(" ")[0]].add(1, int(exception is not None), times)

    environment.events.request.add_listener(note)

    def write() -> None:
        while True:
            gevent.sleep(WINDOW_SECONDS)
            window = {
                name: {"requests": kind.requests, "failures": kind.failures, "p50": kind.at(0.5), "p99": kind.at(0.99)}
                for name, kind in kinds.items()
            }
            kinds.clear()
            with path.open("a") as file:
                file.write(json.dumps({"at": time(), "kinds": window}) + "\n")

    gevent.spawn(write)


events.init_command_line_parser.add_listener(_add_options)
events.init.add_listener(_weigh)
events.test_start.add_listener(_prepare)
events.test_stop.add_listener(_end)
