"""How often: requests of a principal, failed logins of an account. Counted in the memory of one process."""

from time import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from service.core.errors import TooManyRequests
from service.core.settings import SecuritySettings


class RequestLimiter:
    """So many requests a minute of one principal from one address."""

    def __init__(self, settings: SecuritySettings) -> None:
        self._limit = RateLimitItemPerMinute(settings.rate_limit)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, principal: str, address: str) -> None:
        """Count a request.

        Raises:
            TooManyRequests: it is one too many; with the RateLimit fields of the answer.
        """
        if not self._limiter.hit(self._limit, principal, address):
            wait = self._wait(principal, address)
            raise TooManyRequests(
                f"More than {self._limit.amount} requests a minute.",
                retry_after=wait,
                headers={
                    "RateLimit-Policy": f'"default";q={self._limit.amount};w=60',
                    "RateLimit": f'"default";r=0;t={wait}',
                },
            )

    def _wait(self, principal: str, address: str) -> int:
        reset, _ = self._limiter.get_window_stats(self._limit, principal, address)
        return max(1, round(reset - time()))


class LoginThrottle:
    """So many failed logins a minute of one account, and of one address. Successful ones are not counted."""

    def __init__(self, settings: SecuritySettings) -> None:
        self._limit = RateLimitItemPerMinute(settings.login_rate_limit)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def check(self, email: str, address: str) -> None:
        """Before the password is looked at.

        Raises:
            TooManyRequests: there were too many failures.
        """
        for key in _keys(email, address):
            if not self._limiter.test(self._limit, *key):
                reset, _ = self._limiter.get_window_stats(self._limit, *key)
                raise TooManyRequests("Too many failed logins.", retry_after=max(1, round(reset - time())))

    def note_failure(self, email: str, address: str) -> None:
        for key in _keys(email, address):
            self._limiter.hit(self._limit, *key)


def _keys(email: str, address: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("account", email.lower()[:254]), ("address", address)
