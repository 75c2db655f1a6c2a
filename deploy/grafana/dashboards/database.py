"""Statements, pools and the server behind them."""

from deploy.grafana.dashboard import Dashboard, Panel, Query, Row, Unit, one, quantiles, rate, selected

DATABASE = Dashboard(
    "rowhouse-database",
    "Rowhouse: database",
    (
        Row(
            "Statements",
            (
                one("Statements", Unit.PER_SECOND, rate("rowhouse_statement_seconds_count", by="kind"), "{{kind}}"),
                Panel("Time by kind, p95", Unit.SECONDS, quantiles("rowhouse_statement_seconds", 0.95, by="kind")),
                one(
                    "Time spent, by kind",
                    Unit.NUMBER,
                    rate("rowhouse_statement_seconds_sum", by="kind"),
                    "{{kind}}",
                    told="Connections that are busy with it on average.",
                ),
            ),
        ),
        Row(
            "Pools",
            (
                Panel(
                    "Connections",
                    Unit.NUMBER,
                    (
                        Query(selected("rowhouse_pool_connections_in_use"), "{{instance}} {{pool}}: in use"),
                        Query(selected("rowhouse_pool_connections_idle"), "{{instance}} {{pool}}: idle"),
                        Query(selected("rowhouse_pool_connections_open"), "{{instance}} {{pool}}: open"),
                        Query(selected("rowhouse_pool_connections_max"), "{{instance}} {{pool}}: at most"),
                    ),
                ),
                one("Waiting", Unit.NUMBER, selected("rowhouse_pool_waiting"), "{{instance}} {{pool}}"),
                Panel(
                    "Time to get one, p95",
                    Unit.SECONDS,
                    quantiles("rowhouse_pool_wait_seconds", 0.95, by="pool"),
                    "Where none was idle.",
                ),
            ),
        ),
        Row(
            "Server",
            (
                one("Reached", Unit.NUMBER, selected("rowhouse_database_up"), "{{instance}}"),
                one(
                    "Time to connect and ask", Unit.SECONDS, selected("rowhouse_database_probe_seconds"), "{{instance}}"
                ),
                Panel(
                    "Connections of everybody",
                    Unit.NUMBER,
                    (
                        Query(selected("rowhouse_database_connections"), "{{instance}}"),
                        Query(selected("rowhouse_database_max_connections"), "{{instance}}: at most"),
                    ),
                ),
                one(
                    "Replication lag",
                    Unit.SECONDS,
                    selected("rowhouse_database_replication_lag_seconds"),
                    "{{instance}}",
                ),
                one("Standby", Unit.NUMBER, selected("rowhouse_database_is_standby"), "{{instance}}"),
                one(
                    "Migrations pending", Unit.NUMBER, selected("rowhouse_database_migrations_pending"), "{{instance}}"
                ),
            ),
        ),
    ),
)
