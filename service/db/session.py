"""What every connection of the service starts with, and how long it waits."""

from collections.abc import Sequence

from service.core.settings import DatabaseSettings

# PostgreSQL stops a statement that takes too long. One that is this much later does not answer at all.
_GRACE_SECONDS = 5


def session_settings(settings: DatabaseSettings, role: str | None) -> dict[str, str]:
    """What every connection of the service starts with, so that no request needs to set it."""
    milliseconds = str(int(settings.statement_timeout * 1000))
    fixed = {
        "application_name": "rowhouse",
        "timezone": "UTC",
        "search_path": search_path(settings.exposed_schemas, settings.extra_search_path),
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
    }
    return fixed | ({"role": role} if role else {})


def search_path(schemas: Sequence[str], extra: Sequence[str]) -> str:
    """Where PostgreSQL looks for what functions and triggers name without a schema. Our own statements name theirs."""
    return ", ".join('"' + schema.replace('"', '""') + '"' for schema in dict.fromkeys((*schemas, *extra)))


def answer_timeout(settings: DatabaseSettings) -> float:
    """Seconds after which a server that has not answered counts as lost."""
    return answer_seconds(settings.statement_timeout)


def answer_seconds(statement_timeout: float) -> float:
    """The same, of a statement that may take so many seconds."""
    return statement_timeout + _GRACE_SECONDS
