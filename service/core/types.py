"""Small types that every room shares."""

from enum import StrEnum


class Role(StrEnum):
    """What a principal is, for grants."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


class Action(StrEnum):
    """What a grant allows on a table."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
