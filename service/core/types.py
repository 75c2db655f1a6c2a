"""Small types that every room shares."""

from enum import StrEnum


class Role(StrEnum):
    """What a principal is, for grants."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


class Action(StrEnum):
    """What a grant allows on a table, or (`execute`) with a function."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    EXECUTE = "execute"


OF_TABLES = (Action.READ, Action.CREATE, Action.UPDATE, Action.DELETE)
# What may be granted of some columns alone: who deletes, deletes whole rows.
OF_COLUMNS = (Action.READ, Action.CREATE, Action.UPDATE)


class JobState(StrEnum):
    """Where a background job stands. It begins as `queued`; `done`, `dead` and `cancelled` are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # it failed, and is tried again
    DONE = "done"
    DEAD = "dead"  # it failed too often
    CANCELLED = "cancelled"


UNFINISHED = (JobState.QUEUED, JobState.RUNNING, JobState.WAITING)
