"""The rules of `deploy/prometheus` as the Prometheus operator reads them."""

from pathlib import Path
from textwrap import indent

RULES = Path(__file__).parents[1] / "prometheus" / "rules.yml"
_HEADER = """\
# Generated from deploy/prometheus/rules.yml by `make generated`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: rowhouse
spec:
"""


def prometheus_rule() -> str:
    """`prometheus-rule.yaml` of the production overlay."""
    lines = RULES.read_text().splitlines(keepends=True)
    return _HEADER + indent("".join(line for line in lines if not line.startswith("#")), "  ")
