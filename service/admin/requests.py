"""The requests of the last hour, as the home page tells of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.admin.chart import Chart, bars_of
from service.admin.formats import counted
from service.observability.minutes import Minute, RequestMinutes, all_of, quantile

_SHARES = (("Half of them", 0.5), ("95 %", 0.95), ("99 %", 0.99))
# Fewer requests than this tell nothing by a share of them.
_ENOUGH = 20
_FAILED_TOO_OFTEN = 0.01
_SLOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """An hour of this process. `latencies` are times within which a share of requests was answered, in words."""

    is_well: bool
    says: str
    figures: list[tuple[str, str]]
    charts: list[Chart]


def traffic(minutes: RequestMinutes) -> Traffic:
    """What was asked of this process."""
    hour = minutes.hour()
    total = all_of(hour)
    slow = quantile(total, 0.95)
    fails = total.failed > 0 and total.failed >= total.requests * _FAILED_TOO_OFTEN
    is_slow = slow is not None and slow > _SLOW_SECONDS and sum(total.took) >= _ENOUGH
    rate = total.requests / len(hour)
    figures = [
        ("Requests", f"{counted(total.requests)}, about {rate:.3g} a minute"),
        ("Failed (5xx)", counted(total.failed)),
        ("Refused (4xx)", counted(total.refused)),
        *((f"{words} within", milliseconds(quantile(total, share))) for words, share in _SHARES),
    ]
    return Traffic(not fails and not is_slow, _sentence(fails, is_slow), figures, [_rates(hour), _times(hour)])


def _sentence(fails: bool, is_slow: bool) -> str:
    if fails:
        return "Requests fail: the log has why, under error."
    return "Requests take long." if is_slow else "Requests are answered."


def _rates(hour: Sequence[Minute]) -> Chart:
    requests = [one.counted.requests for one in hour]
    failed = [one.counted.failed for one in hour]
    most = max(requests)
    at = hour[requests.index(most)].at
    words = f"At most {counted(most)} requests a minute, at {at:%H:%M} UTC; {counted(sum(failed))} of all failed."
    bars = [*bars_of(requests, "all", most or 1), *bars_of(failed, "failed", most or 1)]
    return Chart("Requests a minute", words, counted(most), bars, not most)


def _times(hour: Sequence[Minute]) -> Chart:
    slow = [quantile(one.counted, 0.95) or 0.0 for one in hour]
    most = max(slow)
    at = hour[slow.index(most)].at
    words = f"95 % of a minute's requests were answered within {milliseconds(most)} at most, at {at:%H:%M} UTC."
    return Chart("Time that 95 % take", words, milliseconds(most), bars_of(slow, "time", most or 1), not most)


def milliseconds(seconds: float | None) -> str:
    """A time as people read it; a bucket's bounds are all that is known of it."""
    if seconds is None:
        return "nothing yet"
    return f"{seconds * 1000:.2g} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
