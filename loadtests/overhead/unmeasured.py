"""The service without metrics, which no setting turns off: what "everything off" is measured by."""

from service.observability.metrics.requests import RequestMetrics
from service.observability.metrics.statements import StatementMetrics


def _nothing(*_: object, **__: object) -> None:
    """Stand in for what counts."""


# Before anything keeps a method of them.
for _kind, _names in ((RequestMetrics, ("begin", "end")), (StatementMetrics, ("observe",))):
    for _name in _names:
        assert callable(getattr(_kind, _name))  # else it would be counted after all
        setattr(_kind, _name, _nothing)

from service.main import app  # noqa: E402 (with metrics that count nothing)

__all__ = ["app"]
