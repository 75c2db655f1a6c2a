"""Which tables are asked for, and how they are answered."""

from deploy.grafana.dashboard import Dashboard, Kind, Row, Unit, one, rate
from deploy.prometheus.objectives import USERS

_REQUESTS = "http_requests_total"
_SUM, _COUNT = "http_request_duration_seconds_sum", "http_request_duration_seconds_count"
_NOT_WELL = f'status=~"[45]..", {USERS}'

TABLES = Dashboard(
    "rowhouse-tables",
    "Rowhouse: tables",
    (
        Row(
            "Now",
            (
                one(
                    "Requests by route",
                    Unit.REQUESTS,
                    f"topk(25, {rate(_REQUESTS, by='handler, method', where=USERS)})",
                    kind=Kind.TABLE,
                    width=12,
                ),
                one(
                    "Refused or failed, by route",
                    Unit.REQUESTS,
                    f"topk(25, {rate(_REQUESTS, by='handler, method, status', where=_NOT_WELL)})",
                    kind=Kind.TABLE,
                    width=12,
                ),
            ),
        ),
        Row(
            "Over time",
            (
                one(
                    "Requests",
                    Unit.REQUESTS,
                    f"topk(10, {rate(_REQUESTS, by='handler', where=USERS)})",
                    "{{handler}}",
                    width=12,
                    has_exemplars=True,
                ),
                one(
                    "Time to answer, on average",
                    Unit.SECONDS,
                    f"topk(10, {rate(_SUM, by='handler', where=USERS)} / {rate(_COUNT, by='handler', where=USERS)})",
                    "{{handler}}",
                    width=12,
                ),
                one(
                    "Bytes sent",
                    Unit.BYTES_PER_SECOND,
                    f"topk(10, {rate('http_response_size_bytes_sum', by='handler')})",
                    "{{handler}}",
                    width=12,
                ),
                one(
                    "Bytes received",
                    Unit.BYTES_PER_SECOND,
                    f"topk(10, {rate('http_request_size_bytes_sum', by='handler')})",
                    "{{handler}}",
                    width=12,
                ),
            ),
        ),
        Row(
            "Exports",
            (
                one("Rows", Unit.PER_SECOND, rate("rowhouse_export_rows_total", by="format"), "{{format}}"),
                one("Bytes", Unit.BYTES_PER_SECOND, rate("rowhouse_export_bytes_total", by="format"), "{{format}}"),
                one(
                    "Exports",
                    Unit.PER_SECOND,
                    rate("rowhouse_export_seconds_count", by="format, outcome"),
                    "{{format}} {{outcome}}",
                ),
            ),
        ),
    ),
)
