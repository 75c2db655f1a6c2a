"""How often: requests of a principal, failed logins of an account. Counted in the memory of one process.

Counting stands on every request's path. The `limits` library starts a thread for its memory storage every 10 ms and
takes as long as reading a row does; here it is a dictionary that is emptied every minute.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from math import ceil
from time import monotonic

from service.core.errors import AuthenticationFailed, TooManyRequests
from service.core.settings import SecuritySettings
from service.observability.metrics import AuthMetrics

_WINDOW_SECONDS = 60
_MOST_KEPT = 100_000
# An account is tried from many addresses only by an attacker; its owner must still get in from another.
_ACCOUNT_FACTOR = 10
# Argon2 takes tens of MiB and a core for tens of milliseconds each.
_PARALLEL_VERIFICATIONS = 2


class MinuteWindow:
    """Counts by key within a fixed minute, of at most 100,000 keys: more would be an attack, and begins anew."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, int] = {}
        self._ends_at = 0.0

    def add(self, key: Hashable) -> int:
        """Count once more, and return the count."""
        now = monotonic()
        if now >= self._ends_at or len(self._counts) > _MOST_KEPT:
            self._counts.clear()
            self._ends_at = now + _WINDOW_SECONDS
        count = self._counts[key] = self._counts.get(key, 0) + 1
        return count

    def take_back(self, key: Hashable) -> None:
        if key in self._counts:
            self._counts[key] -= 1

    def seconds_left(self) -> int:
        return max(1, ceil(self._ends_at - monotonic()))


class RequestLimiter:
    """So many requests a minute of one principal from one address."""

    def __init__(self, settings: SecuritySettings, metrics: AuthMetrics) -> None:
        self._most = settings.rate_limit
        self._window = MinuteWindow()
        self._metrics = metrics

    def count_refused(self, kind: str, address: str) -> None:
        """Count a credential of some kind that does not hold. Raises: as `count`."""
        self._metrics.count_failure(kind)
        self.count("refused", address)

    def count(self, principal: str, address: str) -> None:
        """Count a request.

        Raises:
            TooManyRequests: it is one too many; with the RateLimit fields of the answer.
        """
        if self._window.add((principal, address)) > self._most:
            self._metrics.count_limited("requests")
            wait = self._window.seconds_left()
            raise TooManyRequests(
                f"More than {self._most} requests a minute.",
                retry_after=wait,
                headers={
                    "RateLimit-Policy": f'"default";q={self._most};w={_WINDOW_SECONDS}',
                    "RateLimit": f'"default";r=0;t={wait}',
                },
            )


class LoginThrottle:
    """So many failed logins a minute from one address, and ten times as many of one account; of its second factor no
    more than from one address, for whoever comes that far knows the password.
    """

    def __init__(self, settings: SecuritySettings, metrics: AuthMetrics) -> None:
        self._most = settings.login_rate_limit
        self._window = MinuteWindow()
        self._metrics = metrics
        self._verifying = asyncio.Semaphore(_PARALLEL_VERIFICATIONS)

    @asynccontextmanager
    async def attempt(self, email: str, address: str, *, of_factor: bool = False) -> AsyncIterator[None]:
        """One attempt: counted before it begins, so that many at once do not slip by, and given back if it succeeds.

        Raises:
            TooManyRequests: there were too many failures.
        """
        account = email.lower()[:254]
        limits = {("address", address): self._most, ("account", account): self._most * _ACCOUNT_FACTOR}
        if of_factor:
            limits["factor", account] = self._most
        counts = [self._window.add(key) > most for key, most in limits.items()]
        if any(counts):
            self._metrics.count_limited("logins")
            raise TooManyRequests("Too many failed logins.", retry_after=self._window.seconds_left())
        try:
            async with self._verifying:
                yield
        except AuthenticationFailed:
            raise
        except BaseException:
            self._give_back(limits)
            raise
        self._give_back(limits)

    def _give_back(self, keys: "dict[tuple[str, str], int]") -> None:
        for key in keys:
            self._window.take_back(key)
