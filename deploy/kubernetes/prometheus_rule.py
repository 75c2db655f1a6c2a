"""The rules of Prometheus as its operator reads them."""

from textwrap import indent

from deploy.prometheus.rules import rules

_HEADER = """\
# Generated from deploy/prometheus by `make generated`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: rowhouse
spec:
"""


def prometheus_rule() -> str:
    """`prometheus-rule.yaml` of the production overlay: the groups of `rules.yml`."""
    lines = rules().splitlines(keepends=True)
    return _HEADER + indent("".join(line for line in lines if not line.startswith("#")), "  ")
