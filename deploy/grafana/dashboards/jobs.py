"""Background jobs and webhooks."""

from deploy.grafana.dashboard import Dashboard, Kind, Panel, Query, Row, Unit, one, quantiles, rate, selected

JOBS = Dashboard(
    "rowhouse-jobs",
    "Rowhouse: jobs and webhooks",
    (
        Row(
            "Queue of jobs",
            (
                Panel(
                    "Jobs",
                    Unit.NUMBER,
                    (
                        Query(f"max({selected('rowhouse_jobs_queued')})", "waiting"),
                        Query(f"max({selected('rowhouse_jobs_running')})", "running"),
                        Query(f"max({selected('rowhouse_jobs_dead')})", "dead"),
                    ),
                ),
                one("Oldest that is due", Unit.SECONDS, f"max({selected('rowhouse_jobs_oldest_due_seconds')})"),
                one("Workers up", Unit.NUMBER, 'sum(up{job="rowhouse-worker"})', kind=Kind.STAT),
            ),
        ),
        Row(
            "Runs",
            (
                one(
                    "Attempts by outcome",
                    Unit.PER_SECOND,
                    rate("rowhouse_job_run_seconds_count", by="outcome"),
                    "{{outcome}}",
                ),
                one("Attempts by job", Unit.PER_SECOND, rate("rowhouse_job_run_seconds_count", by="name"), "{{name}}"),
                Panel("Time of an attempt, p95", Unit.SECONDS, quantiles("rowhouse_job_run_seconds", 0.95, by="name")),
            ),
        ),
        Row(
            "Webhooks",
            (
                Panel(
                    "Deliveries",
                    Unit.NUMBER,
                    (
                        Query(f"max({selected('rowhouse_webhook_pending')})", "pending"),
                        Query(f"max({selected('rowhouse_webhook_dead')})", "dead"),
                    ),
                ),
                one(
                    "Attempts by outcome",
                    Unit.PER_SECOND,
                    rate("rowhouse_webhook_deliveries_total", by="outcome"),
                    "{{outcome}}",
                ),
                Panel("Time of an attempt", Unit.SECONDS, quantiles("rowhouse_webhook_attempt_seconds", 0.5, 0.95)),
                one(
                    "Oldest that is not finished",
                    Unit.SECONDS,
                    f"max({selected('rowhouse_webhook_oldest_pending_seconds')})",
                ),
            ),
        ),
    ),
)
