"""What is used of the Prometheus operator's kinds, as JSON Schema: kubernetes-validate knows the built-in kinds alone.

Stricter than the operator: what is not named here is refused. Source: its API reference, monitoring.coreos.com/v1.
"""

from typing import Any

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string", "minLength": 1}
_DURATION: Schema = {"type": "string", "pattern": r"^(\d+[smhdw])+$"}
_LABEL = r"^[a-zA-Z_][a-zA-Z0-9_]*$"


def _object(properties: dict[str, Schema], *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _named(value: Schema, pattern: str) -> Schema:
    return {"type": "object", "patternProperties": {pattern: value}, "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _kind(kind: str, spec: Schema) -> Schema:
    metadata = _object({"name": _TEXT, "namespace": _TEXT, "labels": {"type": "object"}}, "name")
    return _object({"apiVersion": {}, "kind": {"const": kind}, "metadata": metadata, "spec": spec}, "metadata", "spec")


_SELECTOR = _object(
    {"matchLabels": {"type": "object", "additionalProperties": _TEXT, "minProperties": 1}}, "matchLabels"
)
_ENDPOINT = _object(
    {
        "port": _TEXT,
        "path": {"type": "string", "pattern": "^/"},
        "interval": _DURATION,
        "scrapeTimeout": _DURATION,
        "relabelings": _list(_object({"targetLabel": {"pattern": _LABEL}, "replacement": _TEXT}, "targetLabel")),
    },
    "port",
)
_RULE = {
    "oneOf": [
        _object(
            {"record": {"pattern": r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"}, "expr": _TEXT, "labels": _named(_TEXT, _LABEL)},
            "record", "expr",
        ),
        _object(
            {
                "alert": {"pattern": "^[A-Z][A-Za-z0-9]+$"},
                "expr": _TEXT,
                "for": _DURATION,
                "keep_firing_for": _DURATION,
                "labels": _named(_TEXT, _LABEL),
                "annotations": _named(_TEXT, _LABEL),
            },
            "alert", "expr",
        ),
    ]
}  # fmt: skip
_GROUP = _object({"name": _TEXT, "interval": _DURATION, "rules": _list(_RULE)}, "name", "rules")

SCHEMAS: dict[str, Schema] = {
    "ServiceMonitor": _kind(
        "ServiceMonitor",
        _object({"selector": _SELECTOR, "jobLabel": _TEXT, "endpoints": _list(_ENDPOINT)}, "selector", "endpoints"),
    ),
    "PodMonitor": _kind(
        "PodMonitor",
        _object({"selector": _SELECTOR, "podMetricsEndpoints": _list(_ENDPOINT)}, "selector", "podMetricsEndpoints"),
    ),
    "PrometheusRule": _kind("PrometheusRule", _object({"groups": _list(_GROUP)}, "groups")),
}
