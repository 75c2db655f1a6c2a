"""The metrics of the change log."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from service.observability.metrics.seen import Seen


@dataclass(frozen=True, slots=True)
class LogFigures:
    """The change log as it was last seen."""

    changes: int  # ever logged, with those that were rolled back
    unplaced: int  # in no partition of their own
    tables: int
    ahead: int  # partitions of weeks to come
    seen_at: float  # seconds since 1970


class ChangeLogMetrics(Seen[LogFigures]):
    def __init__(self, registry: CollectorRegistry) -> None:
        name = "rowhouse_change_log"
        super().__init__(
            registry,
            {
                f"{name}_changes": ("Changes logged since the log was made.", lambda seen: seen.changes),
                f"{name}_unplaced_rows": (
                    "Changes that no partition was made for; should be 0.",
                    lambda seen: seen.unplaced,
                ),
                f"{name}_tracked_tables": ("Tables whose changes are logged.", lambda seen: seen.tables),
                f"{name}_partitions_ahead": ("Partitions of weeks to come.", lambda seen: seen.ahead),
                f"{name}_upkeep_timestamp_seconds": ("When its upkeep last went well.", lambda seen: seen.seen_at),
            },
        )
