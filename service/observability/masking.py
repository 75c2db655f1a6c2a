"""Nothing secret and nothing personal in what leaves for logs, traces and Sentry.

The rule comes first: values, bodies, headers, query strings and parameters are never logged. Masks are for the texts of
others, who may repeat what they were given.
"""

import re
from collections.abc import Mapping
from typing import Any

from structlog.typing import EventDict, WrappedLogger

MASK = "***"
_NAMES = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|jwt|api[-_ ]?key|authorization|cookie|credential|private[-_ ]?key|"
    r"signature|dsn|otp|csrf|ticket|session[-_ ]?id"
)
# Each part is bounded or begins where a word does: a long text without any takes no longer for it.
_SECRETS = re.compile(
    rf"""
    (?P<url>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{{0,30}}://)\S{{0,1000}}@      # user and password of a URL
    | (?<![\w-])eyJ[\w-]{{4,}}\.[\w-]+(?:\.[\w-]*)?                     # a JWT, whole or cut off
    | \brh_[0-9a-f]{{8}}_[\w-]+                                          # an API key of ours
    | \bwhsec_[\w+/=-]+                                                 # a webhook's secret
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----[\s\S]*?(?:-----END[ ][A-Z ]*-----|\Z)
    | (?P<header>\b(?:set-)?(?:authorization|cookie)\b["']?\s*[:=,]\s*).+    # to the end of its line
    | (?P<scheme>\b(?:bearer|basic)\s+)[\w.~+/=-]{{6,}}
    | (?P<name>(?<![\w-])[\w-]{{0,40}}?(?:{_NAMES})[\w-]*["']?(?:\s*(?:[:=!]=?>?|->)\s*|\s+(?=["'])))
      (?:b?"(?:[^"\\]|""|\\.)*"?|b?'(?:[^'\\]|''|\\.)*'?|[^\s,;&)}}\]]+)
    | (?P<detail>\b(?:DETAIL|CONTEXT|parameters):\s).+                    # PostgreSQL repeats values there
    | (?P<key>\bKey\s\()[^()]*\)=\([^()]*\)
    | (?<![\w.+-])[\w.+-]{{1,64}}@[\w-]+(?:\.[\w-]+)+                    # an e-mail address
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NAMED = re.compile(rf"(?:{_NAMES})s?$", re.IGNORECASE)
_KEPT = ("url", "header", "scheme", "name", "detail", "key")
_DEEPEST = 6
_LONGEST = 16_384


def mask(text: str) -> str:
    """The text without secrets and e-mail addresses, cut off where it is very long. It can be encoded."""
    return _SECRETS.sub(_masked, text[:_LONGEST].encode(errors="backslashreplace").decode())


def is_secret(text: str) -> bool:
    """Whether there is anything in it to be masked."""
    return _SECRETS.search(text) is not None


def _masked(found: re.Match[str]) -> str:
    return next((found[group] for group in _KEPT if found[group] is not None), "") + MASK


def masked(value: Any, depth: int = 0) -> Any:
    """The same for whatever is logged. What lies too deep is left out."""
    if isinstance(value, str):
        return mask(value)
    if value is None or isinstance(value, int | float):
        return value
    if depth == _DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {name: MASK if _names_secret(name) else masked(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(one, depth + 1) for one in value]
    return mask(str(value))


def mask_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A processor of structlog. Errors are left to `tracebacks`."""
    return {
        name: value if name == "exc_info" else MASK if _names_secret(name) else masked(value)
        for name, value in event.items()
    }


def _names_secret(name: object) -> bool:
    return isinstance(name, str) and _NAMED.search(name) is not None
