"""Dashboards of Grafana, as it provisions them from JSON (schema version 39)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

SCHEMA_VERSION = 39
_COLUMNS, _HEIGHT = 24, 8
# Chosen at the top of each dashboard.
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
CHOSEN = 'instance=~"$instance"'


class Unit(StrEnum):
    """Units that Grafana knows."""

    NUMBER = "short"
    PER_SECOND = "ops"
    REQUESTS = "reqps"
    SECONDS = "s"
    SHARE = "percentunit"
    BYTES = "bytes"
    BYTES_PER_SECOND = "Bps"


class Kind(StrEnum):
    """How a panel shows its series: over time, or the last value of each."""

    TIMESERIES = "timeseries"
    STAT = "stat"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Query:
    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    unit: Unit
    queries: tuple[Query, ...]
    told: str = ""
    kind: Kind = Kind.TIMESERIES
    width: int = 8
    has_exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    uid: str
    title: str
    rows: tuple[Row, ...]

    @property
    def expressions(self) -> list[str]:
        return [query.expression for row in self.rows for panel in row.panels for query in panel.queries]

    def as_json(self) -> str:
        document = {
            "uid": self.uid,
            "title": self.title,
            "tags": ["rowhouse"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "links": [_LINKS],
            "annotations": {"list": [_RESTARTS]},
            "templating": {"list": [_SOURCES, _INSTANCES]},
            "panels": list(_placed(self.rows)),
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _placed(rows: Sequence[Row]) -> Iterator[dict[str, object]]:
    """Panels from left to right, and below one another, with numbers of their own."""
    number, top = 0, 0
    for row in rows:
        number += 1
        at = {"h": 1, "w": _COLUMNS, "x": 0, "y": top}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": at}
        top, left = top + 1, 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left = top + _HEIGHT, 0
            number += 1
            yield _panel(panel, number, {"h": _HEIGHT, "w": panel.width, "x": left, "y": top})
            left += panel.width
        top += _HEIGHT


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, object]:
    return {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.told,
        "gridPos": place,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit.value, "min": 0}, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [_target(panel, query, letter) for query, letter in zip(panel.queries, "ABCDEF", strict=False)],
    }


def _target(panel: Panel, query: Query, letter: str) -> dict[str, object]:
    is_over_time = panel.kind is Kind.TIMESERIES
    return {
        "refId": letter,
        "datasource": SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "range": is_over_time,
        "instant": not is_over_time,
        "exemplar": panel.has_exemplars,
        "format": "table" if panel.kind is Kind.TABLE else "time_series",
    }


_OPTIONS: dict[Kind, dict[str, object]] = {
    Kind.TIMESERIES: {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    Kind.STAT: {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    Kind.TABLE: {"showHeader": True, "sortBy": [{"displayName": "Value", "desc": True}]},
}
_LINKS = {"type": "dashboards", "tags": ["rowhouse"], "title": "Rowhouse", "asDropdown": True, "keepTime": True}
_RESTARTS = {
    "name": "Starts",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": "blue",
    "expr": f"changes(process_start_time_seconds{{{CHOSEN}}}[1m]) > 0",
    "titleFormat": "A process started",
}
_SOURCES = {"name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus", "hide": 0}
_INSTANCES = {
    "name": "instance",
    "label": "Instance",
    "type": "query",
    "datasource": SOURCE,
    "query": {"query": 'label_values(up{job=~"rowhouse.*"}, instance)', "refId": "instances"},
    "refresh": 2,
    "multi": True,
    "includeAll": True,
    "allValue": ".*",
    "current": {"text": ["All"], "value": ["$__all"]},
}


def one(
    title: str,
    unit: Unit,
    expression: str,
    legend: str = "",
    told: str = "",
    *,
    kind: Kind = Kind.TIMESERIES,
    width: int = 8,
    has_exemplars: bool = False,
) -> Panel:
    """A panel of one query."""
    return Panel(title, unit, (Query(expression, legend),), told, kind, width, has_exemplars)


def rate(metric: str, *, by: str = "", where: str = "") -> str:
    """What is counted, a second."""
    inside = f"sum by ({by}) " if by else "sum "
    return f"{inside}(rate({selected(metric, where)}[$__rate_interval]))"


def selected(metric: str, where: str = "") -> str:
    """Of the chosen instances."""
    return f"{metric}{{{CHOSEN}{f', {where}' if where else ''}}}"


def quantiles(metric: str, *shares: float, by: str = "", where: str = "") -> tuple[Query, ...]:
    """Quantiles of a histogram, over time."""
    grouped = f"le, {by}" if by else "le"
    name = f"{{{{{by}}}}} " if by else ""
    return tuple(
        Query(
            f"histogram_quantile({share:g}, {rate(f'{metric}_bucket', by=grouped, where=where)})",
            f"{name}p{share * 100:g}",
        )
        for share in shares
    )
