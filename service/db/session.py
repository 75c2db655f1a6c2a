"""What every connection of the service starts with, and how long it waits."""

from service.core.settings import DatabaseSettings

# PostgreSQL stops a statement that takes too long. One that is this much later does not answer at all.
_GRACE_SECONDS = 5


def session_settings(settings: DatabaseSettings, role: str | None) -> dict[str, str]:
    """What every connection of the service starts with, so that no request needs to set it."""
    milliseconds = str(int(settings.statement_timeout * 1000))
    fixed = {
        "application_name": "rowhouse",
        "timezone": "UTC",
        "search_path": "public",
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
    }
    return fixed | ({"role": role} if role else {})


def answer_timeout(settings: DatabaseSettings) -> float:
    """Seconds after which a server that has not answered counts as lost."""
    return settings.statement_timeout + _GRACE_SECONDS
