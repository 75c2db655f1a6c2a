"""What a statement of ours is called in traces: its operation and its table, never its text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_NAME = r'(?:"(?:[^"]|"")+"|[a-z_][\w$]*)'
# Texts and names in quotes are tokens of their own, so that what stands in them is no verb.
_TOKENS = re.compile(rf"'(?:[^']|'')*'|{_NAME}(?:\.{_NAME})*|[(]", re.IGNORECASE)
_WRITES = {("insert", "into"): "INSERT", ("delete", "from"): "DELETE", ("merge", "into"): "MERGE"}
_SKIPPED = frozenset({"only", "lateral"})
_NO_TABLE = frozenset({"(", "set", "of", "select"})


@dataclass(frozen=True, slots=True)
class Described:
    """By OpenTelemetry's semantic conventions for spans of database clients (stable since 1.33)."""

    summary: str
    attributes: Mapping[str, str]


@lru_cache(maxsize=4096)
def described(sql: str) -> Described:
    """Of a statement that writes, also within a CTE, what it writes; of others the first table that they read."""
    words = [word for word in _TOKENS.findall(sql) if word.lower() not in _SKIPPED]
    verb, table = _write_of(words) or _read_of(words)
    attributes = {"db.system.name": "postgresql", "db.operation.name": verb}
    if table is None:
        return Described(verb, attributes)
    table = table.replace('"', "")
    return Described(f"{verb} {table}", {**attributes, "db.collection.name": table})


def _write_of(words: list[str]) -> tuple[str, str] | None:
    for first, second, third in zip(words, words[1:], words[2:], strict=False):
        verb = _WRITES.get((first.lower(), second.lower()))
        if verb is not None:
            return verb, third
        # Neither `for update` nor `do update set`.
        if first.lower() == "update" and third.lower() in ("set", "as") and second.lower() not in _NO_TABLE:
            return "UPDATE", second
    return None


def _read_of(words: list[str]) -> tuple[str, str | None]:
    verb = next((word.upper() for word in words if word != "("), "SQL")
    verb = "SELECT" if verb == "WITH" else verb
    for first, second, third in zip(words, words[1:], [*words[2:], ""], strict=False):
        if first.lower() == "from" and second.lower() not in _NO_TABLE and third != "(":
            return verb, second
    return verb, None
