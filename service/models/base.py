"""The two declarative bases: Rowhouse's own tables, and the tables that it serves."""

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

SYSTEM_SCHEMA = "rowhouse"
# Fixed names, so that a constraint in an error can be told apart and a migration can drop it.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class SystemBase(DeclarativeBase):
    """Tables of Rowhouse itself, in a schema apart from the user's."""

    metadata = MetaData(schema=SYSTEM_SCHEMA, naming_convention=_NAMES)


class TableBase(DeclarativeBase):
    """Tables that are served. Every mapped class becomes a resource."""

    metadata = MetaData(naming_convention=_NAMES)
