"""Whether the service is well: rate, errors, duration, saturation."""

from deploy.grafana.dashboard import CHOSEN, Dashboard, Kind, Panel, Query, Row, Unit, one, quantiles, rate, selected
from deploy.prometheus.objectives import AVAILABILITY, LATENCY, Objective


def _left(objective: Objective) -> str:
    return f"1 - {objective.ratio}3d / {objective.budget:g}"


OVERVIEW = Dashboard(
    "rowhouse-overview",
    "Rowhouse: overview",
    (
        Row(
            "Is it well?",
            (
                one("Instances up", Unit.NUMBER, 'sum(up{job="rowhouse"})', kind=Kind.STAT, width=4),
                one(
                    "Database",
                    Unit.NUMBER,
                    f"min(rowhouse_database_up{{{CHOSEN}}})",
                    told="1: it can be reached.",
                    kind=Kind.STAT,
                    width=4,
                ),
                one(
                    "Availability budget left",
                    Unit.SHARE,
                    _left(AVAILABILITY),
                    told="Of three days; below 0 more failed than the objective allows.",
                    kind=Kind.STAT,
                    width=4,
                ),
                one(
                    "Latency budget left",
                    Unit.SHARE,
                    _left(LATENCY),
                    told="Of three days; below 0 more was slow than the objective allows.",
                    kind=Kind.STAT,
                    width=4,
                ),
                one(
                    "Version",
                    Unit.NUMBER,
                    f"count by (version, python) ({selected('rowhouse_build_info')})",
                    "{{version}} on Python {{python}}",
                    kind=Kind.STAT,
                    width=4,
                ),
                one("Alerts", Unit.NUMBER, 'count(ALERTS{alertstate="firing"}) or vector(0)', kind=Kind.STAT, width=4),
            ),
        ),
        Row(
            "Rate and errors",
            (
                one(
                    "Requests",
                    Unit.REQUESTS,
                    rate("http_requests_total", by="status"),
                    "{{status}}",
                    has_exemplars=True,
                ),
                one("Requests by method", Unit.REQUESTS, rate("http_requests_total", by="method"), "{{method}}"),
                Panel(
                    "Share that fails",
                    Unit.SHARE,
                    (Query(f"{AVAILABILITY.ratio}5m", "5 minutes"), Query(f"{AVAILABILITY.ratio}1h", "an hour")),
                    "5xx, without probes and scrapes.",
                ),
            ),
        ),
        Row(
            "Duration",
            (
                Panel(
                    "Time to answer",
                    Unit.SECONDS,
                    quantiles("http_request_duration_highr_seconds", 0.5, 0.95, 0.99),
                    "Without streams, which are as long as their clients like.",
                    has_exemplars=True,
                ),
                Panel(
                    "Share over half a second",
                    Unit.SHARE,
                    (Query(f"{LATENCY.ratio}5m", "5 minutes"), Query(f"{LATENCY.ratio}1h", "an hour")),
                ),
                Panel(
                    "Sizes",
                    Unit.BYTES_PER_SECOND,
                    (
                        Query(rate("http_request_size_bytes_sum"), "received"),
                        Query(rate("http_response_size_bytes_sum"), "sent"),
                    ),
                ),
            ),
        ),
        Row(
            "Saturation",
            (
                one("In flight", Unit.NUMBER, selected("http_requests_inprogress"), "{{instance}}"),
                one(
                    "Processor",
                    Unit.NUMBER,
                    f"rate({selected('process_cpu_seconds_total')}[$__rate_interval])",
                    "{{instance}}",
                    told="Cores in use.",
                ),
                one("Memory", Unit.BYTES, selected("process_resident_memory_bytes"), "{{instance}}"),
                one(
                    "File descriptors",
                    Unit.SHARE,
                    f"{selected('process_open_fds')} / {selected('process_max_fds')}",
                    "{{instance}}",
                ),
                Panel("Event loop lag", Unit.SECONDS, quantiles("rowhouse_event_loop_lag_seconds", 0.5, 0.99)),
                one(
                    "Connections in use",
                    Unit.SHARE,
                    f"{selected('rowhouse_pool_connections_in_use')} / {selected('rowhouse_pool_connections_max')}",
                    "{{instance}} {{pool}}",
                ),
            ),
        ),
        Row(
            "Who comes in",
            (
                one("Logins", Unit.PER_SECOND, rate("rowhouse_logins_total", by="way"), "{{way}}"),
                one(
                    "Credentials refused", Unit.PER_SECOND, rate("rowhouse_auth_failures_total", by="kind"), "{{kind}}"
                ),
                one("Rate limits hit", Unit.PER_SECOND, rate("rowhouse_rate_limited_total", by="kind"), "{{kind}}"),
            ),
        ),
    ),
)
