"""Header fields that functions of the database may set."""

import re

# Of the answer's own frame, which are nobody else's to set.
_OWN = frozenset({"connection", "content-length", "date", "server", "transfer-encoding", "upgrade", "x-request-id"})
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_VALUE = re.compile(r"[\x20-\x7e]{0,1024}")


def may_be_set(name: str, value: str) -> bool:
    return bool(_NAME.fullmatch(name) and _VALUE.fullmatch(value)) and name.lower() not in _OWN
