"""The live feed, and the change log that it reads."""

from deploy.grafana.dashboard import Dashboard, Kind, Panel, Row, Unit, one, quantiles, rate, selected

FEED = Dashboard(
    "rowhouse-feed",
    "Rowhouse: live feed",
    (
        Row(
            "Clients",
            (
                one("Clients that follow", Unit.NUMBER, selected("rowhouse_feed_subscribers"), "{{instance}}"),
                one("Changes sent", Unit.PER_SECOND, rate("rowhouse_feed_events_total", by="instance"), "{{instance}}"),
                one(
                    "Clients that were too slow",
                    Unit.PER_SECOND,
                    rate("rowhouse_feed_drops_total", by="instance"),
                    "{{instance}}",
                ),
            ),
        ),
        Row(
            "Follower",
            (
                Panel(
                    "Lag",
                    Unit.SECONDS,
                    quantiles("rowhouse_feed_follower_lag_seconds", 0.5, 0.95, 0.99),
                    "Age of the oldest change when it is found.",
                ),
                one("Connected", Unit.NUMBER, selected("rowhouse_feed_follower_connected"), "{{instance}}"),
                one(
                    "Events that wait for the slowest client",
                    Unit.NUMBER,
                    selected("rowhouse_feed_queue_depth"),
                    "{{instance}}",
                ),
            ),
        ),
        Row(
            "Change log",
            (
                one(
                    "Changes logged",
                    Unit.PER_SECOND,
                    f"max(rate({selected('rowhouse_change_log_changes')}[$__rate_interval]))",
                ),
                one(
                    "Partitions of weeks to come",
                    Unit.NUMBER,
                    f"min({selected('rowhouse_change_log_partitions_ahead')})",
                    kind=Kind.STAT,
                    width=4,
                ),
                one(
                    "Without a partition",
                    Unit.NUMBER,
                    f"max({selected('rowhouse_change_log_unplaced_rows')})",
                    kind=Kind.STAT,
                    width=4,
                ),
                one(
                    "Tables",
                    Unit.NUMBER,
                    f"max({selected('rowhouse_change_log_tracked_tables')})",
                    kind=Kind.STAT,
                    width=4,
                ),
                one(
                    "Since its upkeep",
                    Unit.SECONDS,
                    f"time() - max({selected('rowhouse_change_log_upkeep_timestamp_seconds')})",
                    kind=Kind.STAT,
                    width=4,
                ),
            ),
        ),
    ),
)
