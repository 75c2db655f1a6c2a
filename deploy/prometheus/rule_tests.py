"""Tests of the rules for `promtool test rules`: hours in which all is well, and for each alert hours in which something
is not, from the third until the fifth. Then it fires, alone; in the end it has cleared.
"""

from dataclasses import dataclass, field

from deploy.prometheus.alert import Alert
from deploy.prometheus.rules import GROUPS, alerts, as_yaml

# Minutes.
_BEFORE, _BROKEN, _AFTER = 180, 120, 600
_INSTANCE = {"job": "rowhouse", "instance": "a:9100"}
_WORKER = {"job": "rowhouse-worker", "instance": "b:9101"}
_ROUTE = {"handler": "/api/v1/{table}", "method": "GET"}


def _series(name: str, labels: dict[str, str]) -> str:
    inside = ", ".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


def _of(name: str, /, **labels: str) -> str:
    return _series(name, _INSTANCE | labels)


def _flat(value: float) -> str:
    return f"{value:g}x{_BEFORE + _BROKEN + _AFTER}"


def _counts(a_minute: float) -> str:
    return f"0+{a_minute:g}x{_BEFORE + _BROKEN + _AFTER}"


def _for_a_while(well: float, ill: float) -> str:
    return f"{well:g}x{_BEFORE - 1} {ill:g}x{_BROKEN - 1} {well:g}x{_AFTER}"


def _counts_for_a_while(a_minute: float, broken: float) -> str:
    """A counter that grows so much a minute, and by another number while something is broken."""
    then = a_minute * _BEFORE
    later = then + broken * _BROKEN
    return f"0+{a_minute:g}x{_BEFORE - 1} {then:g}+{broken:g}x{_BROKEN - 1} {later:g}+{a_minute:g}x{_AFTER}"


_TOTAL = _of("http_requests_total", **_ROUTE, status="200")
_FAILED = _of("http_requests_total", **_ROUTE, status="503")
_QUICK = _of("http_request_duration_seconds_bucket", **_ROUTE, le="0.5")
_COUNT = _of("http_request_duration_seconds_count", **_ROUTE)
_LAG = "rowhouse_feed_follower_lag_seconds_bucket"
_LOOP = "rowhouse_event_loop_lag_seconds_bucket"
_UP, _UP_WORKER = _of("up"), _series("up", _WORKER)
_DATABASE, _WAITING = _of("rowhouse_database_up"), _of("rowhouse_pool_waiting", pool="tables")
_ONE_IN_FIVE = f"0x{_BEFORE - 1} {'0 0 0 0 1 ' * (_BROKEN // 5)}0x{_AFTER}"
_FOUR_IN_FIVE = f"1x{_BEFORE - 1} {'1 1 1 1 0 ' * (_BROKEN // 5)}1x{_AFTER}"
_DEAD = _series("rowhouse_webhook_deliveries_total", _WORKER | {"outcome": "dead"})
_START = _of("process_start_time_seconds")

_WELL: dict[str, str] = {
    _UP: _flat(1),
    _UP_WORKER: _flat(1),
    _TOTAL: _counts(600),
    _FAILED: _counts(0),
    _QUICK: _counts(600),
    _COUNT: _counts(600),
    _DATABASE: _flat(1),
    _of("rowhouse_database_migrations_pending"): _flat(0),
    _of("rowhouse_database_is_standby"): _flat(0),
    _of("rowhouse_database_replication_lag_seconds"): _flat(0),
    _of("rowhouse_database_connections"): _flat(40),
    _of("rowhouse_database_max_connections"): _flat(100),
    _WAITING: _flat(0),
    _of(_LAG, le="5"): _counts(60),
    _of(_LAG, le="30"): _counts(60),
    _of(_LAG, le="+Inf"): _counts(60),
    _of("rowhouse_feed_follower_connected"): _flat(1),
    _of("rowhouse_change_log_partitions_ahead"): _flat(4),
    _of("rowhouse_change_log_unplaced_rows"): _flat(0),
    _of("rowhouse_change_log_upkeep_timestamp_seconds"): _counts(60),
    _of("rowhouse_jobs_dead"): _flat(0),
    _of("rowhouse_jobs_oldest_due_seconds"): _flat(3),
    _DEAD: _flat(2),
    _of(_LOOP, le="0.5"): _counts(60),
    _of(_LOOP, le="1"): _counts(60),
    _of(_LOOP, le="+Inf"): _counts(60),
    _START: _flat(1000),
    _of("process_open_fds"): _flat(60),
    _of("process_max_fds"): _flat(1024),
    _of("rowhouse_auth_failures_total", kind="password"): _counts(1),
}


@dataclass(frozen=True, slots=True)
class Case:
    """What is otherwise while something is broken. `fire` are the alerts that it fires, with their labels beside the
    severity; `minute` is when they are looked at, counted from its beginning.
    """

    told: str
    series: dict[str, str]
    fire: dict[str, dict[str, str]]
    minute: int = 100
    clears: int = 20
    left_out: tuple[str, ...] = field(default=())


def _simple(told: str, series: str, ill: str, alert: str, labels: dict[str, str]) -> Case:
    return Case(told, {series: ill}, {alert: labels})


_JOB = {"job": "rowhouse"}
_BURN = "Rowhouse{}Burns{}"
_ALL_BURNS = ("VeryFast", "Fast", "Slow", "VerySlow")


def _failing(share: float) -> dict[str, str]:
    return {
        _TOTAL: _counts_for_a_while(600, 600 * (1 - share)),
        _FAILED: _counts_for_a_while(0, 600 * share),
    }


CASES = (
    Case("all is well", {}, {}),
    _simple("the server is gone", _UP, _for_a_while(1, 0), "RowhouseDown", _INSTANCE),
    _simple("the worker is gone", _UP_WORKER, _for_a_while(1, 0), "RowhouseWorkerDown", _WORKER),
    Case("there is no server at all", {}, {"RowhouseDown": _JOB}, left_out=(_UP,), clears=-1),
    _simple(
        "a process starts every minute",
        _START,
        f"1000x{_BEFORE - 1} 1000+60x{_BROKEN - 1} 9000x{_AFTER}",
        "RowhouseCrashLoop",
        _INSTANCE,
    ),
    Case(
        "the database is gone, and every request fails",
        {
            _DATABASE: _for_a_while(1, 0),
            _of("rowhouse_feed_follower_connected"): _for_a_while(1, 0),
            _of("rowhouse_change_log_upkeep_timestamp_seconds"): _counts_for_a_while(60, 0),
            **_failing(1),
        },
        {"RowhouseDatabaseDown": _INSTANCE},
    ),
    _simple(
        "a migration is pending",
        _of("rowhouse_database_migrations_pending"),
        _for_a_while(0, 1),
        "RowhouseMigrationsPending",
        _INSTANCE,
    ),
    _simple(
        "a standby falls behind",
        _of("rowhouse_database_replication_lag_seconds"),
        _for_a_while(0, 120),
        "RowhouseReplicationLag",
        _INSTANCE,
    ),
    _simple(
        "the server has no connection left",
        _of("rowhouse_database_connections"),
        _for_a_while(40, 97),
        "RowhouseServerConnections",
        _INSTANCE,
    ),
    Case(
        "all connections are in use, and a fifth of the requests fails",
        {_WAITING: _for_a_while(0, 12), **_failing(0.2), _QUICK: _counts_for_a_while(600, 60)},
        {"RowhousePoolExhausted": _INSTANCE | {"pool": "tables"}},
    ),
    Case(
        "changes are found late",
        {_of(_LAG, le="5"): _counts_for_a_while(60, 30)},
        {"RowhouseFeedLag": _INSTANCE},
    ),
    _simple(
        "the follower has no connection",
        _of("rowhouse_feed_follower_connected"),
        _for_a_while(1, 0),
        "RowhouseFollowerLost",
        _INSTANCE,
    ),
    _simple(
        "partitions run out",
        _of("rowhouse_change_log_partitions_ahead"),
        _for_a_while(4, 0),
        "RowhousePartitionsRunOut",
        {},
    ),
    _simple(
        "a change has no partition",
        _of("rowhouse_change_log_unplaced_rows"),
        _for_a_while(0, 7),
        "RowhouseChangesUnplaced",
        {},
    ),
    _simple(
        "the log's upkeep goes wrong",
        _of("rowhouse_change_log_upkeep_timestamp_seconds"),
        f"0+60x{_BEFORE - 1} {60 * _BEFORE:g}x{_BROKEN - 1} {60 * (_BEFORE + _BROKEN):g}+60x{_AFTER}",
        "RowhouseLogUpkeepLate",
        _INSTANCE,
    ),
    _simple("a job is dead", _of("rowhouse_jobs_dead"), _for_a_while(0, 1), "RowhouseJobsDead", {}),
    _simple("jobs wait", _of("rowhouse_jobs_oldest_due_seconds"), _for_a_while(3, 900), "RowhouseJobsLate", {}),
    Case(
        "deliveries are given up",
        {_DEAD: _counts_for_a_while(0, 1)},
        {"RowhouseWebhooksDead": {}},
        clears=70,
    ),
    Case(
        "the event loop is stuck",
        {_of(_LOOP, le="0.5"): _counts_for_a_while(60, 30)},
        {"RowhouseEventLoopLag": _INSTANCE},
    ),
    _simple(
        "file descriptors run out",
        _of("process_open_fds"),
        _for_a_while(60, 1000),
        "RowhouseFileDescriptors",
        _INSTANCE,
    ),
    _simple(
        "passwords are guessed",
        _of("rowhouse_auth_failures_total", kind="password"),
        _counts_for_a_while(1, 300),
        "RowhouseLoginFailures",
        {},
    ),
    Case(
        "a tenth of the requests fails",
        _failing(0.1),
        {_BURN.format("Availability", name): _JOB for name in _ALL_BURNS},
        clears=8 * 60,
    ),
    Case(
        "every request fails, and one scrape in five sees a request that waits for a connection",
        {_WAITING: _ONE_IN_FIVE, **_failing(1)},
        {_BURN.format("Availability", name): _JOB for name in _ALL_BURNS},
        clears=8 * 60,
    ),
    Case(
        "every request fails, and one scrape in five finds that the database did not answer",
        {_DATABASE: _FOUR_IN_FIVE, **_failing(1)},
        {_BURN.format("Availability", name): _JOB for name in _ALL_BURNS},
        clears=8 * 60,
    ),
    Case(
        "one request in a hundred fails: that can wait until tomorrow",
        _failing(0.01),
        {_BURN.format("Availability", name): _JOB for name in ("Slow", "VerySlow")},
        clears=8 * 60,
    ),
    Case(
        "a third of the requests is slow",
        {_QUICK: _counts_for_a_while(600, 400)},
        {_BURN.format("Latency", name): _JOB for name in _ALL_BURNS},
        clears=8 * 60,
    ),
)


def rule_tests() -> str:
    """`rules.test.yml`"""
    return as_yaml(
        {
            "rule_files": ["rules.yml"],
            "evaluation_interval": "10m",
            # Else promtool goes by chance, and an alert may be a step behind what it asks.
            "group_eval_order": list(GROUPS),
            "tests": [_test(case, alerts()) for case in CASES],
        }
    )


def _test(case: Case, known: list[Alert]) -> dict[str, object]:
    series = {name: values for name, values in (_WELL | case.series).items() if name not in case.left_out}
    broken, cleared = _BEFORE + case.minute, _BEFORE + _BROKEN + case.clears
    looks = [_look(broken, alert, case.fire.get(alert.name)) for alert in known]
    if case.fire and case.clears > 0:
        looks += [_look(cleared, alert, None) for alert in known if alert.name in case.fire]
    return {
        "name": case.told,
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": looks,
    }


def _look(minute: int, alert: Alert, labels: dict[str, str] | None) -> dict[str, object]:
    expected = [] if labels is None else [
        {"exp_labels": {"severity": alert.severity.value} | labels, "exp_annotations": alert.annotations}
    ]  # fmt: skip
    return {"eval_time": f"{minute}m", "alertname": alert.name, "exp_alerts": expected}
