"""Alerts on causes, each with a runbook."""

from deploy.prometheus.alert import Alert, Severity

_DOWN = "rowhouse_database_up == 0"
_CANNOT = f"unless on (job, instance) ({_DOWN} or rowhouse_database_is_standby == 1)"
POOL_ALWAYS_WAITED_FOR = 'min_over_time(rowhouse_pool_waiting{pool="tables"}[1m])'
_PAGE, _TICKET = Severity.PAGE, Severity.TICKET

ALERTS = (
    Alert(
        "RowhouseDown",
        _PAGE,
        "An instance cannot be scraped, or there is none.",
        'up{job="rowhouse"} == 0 or absent(up{job="rowhouse"})',
        "1m",
    ),
    Alert(
        "RowhouseWorkerDown",
        _TICKET,
        "A worker cannot be scraped, or there is none: jobs and webhooks wait.",
        'up{job="rowhouse-worker"} == 0 or absent(up{job="rowhouse-worker"})',
        "5m",
    ),
    Alert(
        "RowhouseCrashLoop",
        _PAGE,
        "Processes are started again and again.",
        'changes(process_start_time_seconds{job=~"rowhouse.*"}[15m]) > 3',
    ),
    Alert("RowhouseDatabaseDown", _PAGE, "The database cannot be reached.", _DOWN, "1m"),
    Alert(
        "RowhouseMigrationsPending",
        _TICKET,
        "The database is behind this release.",
        "rowhouse_database_migrations_pending > 0",
        "10m",
    ),
    Alert(
        "RowhouseReplicationLag",
        _TICKET,
        "A standby that is read from is behind.",
        "rowhouse_database_replication_lag_seconds > 30",
        "5m",
    ),
    Alert(
        "RowhouseServerConnections",
        _TICKET,
        "The database server has hardly a connection left.",
        "rowhouse_database_connections / rowhouse_database_max_connections > 0.9",
        "5m",
    ),
    Alert(
        "RowhousePoolExhausted",
        _PAGE,
        "Requests wait for a database connection all the time.",
        f"{POOL_ALWAYS_WAITED_FOR} > 0",
        "1m",
    ),
    Alert(
        "RowhouseFeedLag",
        _TICKET,
        "Changes reach those who follow late.",
        "histogram_quantile(0.95,\n"
        "  sum by (job, instance, le) (rate(rowhouse_feed_follower_lag_seconds_bucket[5m]))) > 5",
        "5m",
    ),
    Alert(
        "RowhouseFollowerLost",
        _TICKET,
        "No changes are followed, though the database can be reached.",
        f"rowhouse_feed_follower_connected == 0\n{_CANNOT}",
        "5m",
    ),
    Alert(
        "RowhousePartitionsRunOut",
        _PAGE,
        "The change log has no partition for next week.",
        "min(rowhouse_change_log_partitions_ahead) < 1",
        "10m",
    ),
    Alert(
        "RowhouseChangesUnplaced",
        _TICKET,
        "Changes were logged that no partition was made for.",
        "max(rowhouse_change_log_unplaced_rows) > 0",
        "10m",
    ),
    Alert(
        "RowhouseLogUpkeepLate",
        _TICKET,
        "The change log's upkeep has not gone well for ten minutes.",
        f"time() - rowhouse_change_log_upkeep_timestamp_seconds > 600\n{_CANNOT}",
        "5m",
    ),
    Alert("RowhouseJobsDead", _TICKET, "Jobs have failed too often.", "max(rowhouse_jobs_dead) > 0", "5m"),
    Alert(
        "RowhouseJobsLate",
        _TICKET,
        "Jobs wait for a worker.",
        "max(rowhouse_jobs_oldest_due_seconds) > 300",
        "5m",
    ),
    Alert(
        "RowhouseWebhooksDead",
        _TICKET,
        "Deliveries of webhooks were given up in the last hour.",
        'sum(increase(rowhouse_webhook_deliveries_total{outcome="dead"}[1h])) > 0',
    ),
    Alert(
        "RowhouseEventLoopLag",
        _TICKET,
        "The event loop is kept from its work.",
        "histogram_quantile(0.95,\n"
        "  sum by (job, instance, le) (rate(rowhouse_event_loop_lag_seconds_bucket[5m]))) > 0.5",
        "5m",
    ),
    Alert(
        "RowhouseFileDescriptors",
        _TICKET,
        "A process has hardly a file descriptor left.",
        'process_open_fds{job=~"rowhouse.*"} / process_max_fds > 0.8',
        "5m",
    ),
    Alert(
        "RowhouseLoginFailures",
        _TICKET,
        "Passwords or codes are guessed.",
        'sum(rate(rowhouse_auth_failures_total{kind=~"password|second_factor"}[5m])) > 1',
        "5m",
    ),
)
