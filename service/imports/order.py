"""What an import is to do, as its caller asked for it, and what it did."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from service.core.errors import Rejected
from service.query.plan import OnConflict


class Format(StrEnum):
    """How the rows are written."""

    CSV = "csv"
    NDJSON = "ndjson"
    ARROW = "arrow"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Order:
    """One import. `columns` are those that are taken of the body, None being all.

    `replaces`: the rows that are there go. `max_rejected` None ends the import at the first row that cannot be written.
    `null` is what stands for no value in CSV, None being PostgREST's rule. `settings` are what triggers may know of the
    request.
    """

    format: Format
    columns: tuple[str, ...] | None = None
    on_conflict: OnConflict = OnConflict.FAIL
    conflict: tuple[str, ...] = ()
    replaces: bool = False
    fills_missing: bool = False
    max_rejected: int | None = None
    max_affected: int | None = None
    keeps: bool = True
    null: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Order":
        """The order that `as_json` was made of."""
        columns = value["columns"]
        own = {
            "format": Format(value["format"]),
            "columns": None if columns is None else tuple(columns),
            "on_conflict": OnConflict(value["on_conflict"]),
            "conflict": tuple(value["conflict"]),
        }
        return cls(**{**value, **own})


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or with `is_kept` False would have done.

    `skipped` are rows that were there already and stayed as they are; `deleted` those that made room. `body` has the
    rows as they were rendered, where they were asked for.
    """

    inserted: int
    updated: int
    skipped: int
    deleted: int
    rejected: Sequence[Rejected]
    is_kept: bool
    body: bytes | None = None

    @property
    def written(self) -> int:
        return self.inserted + self.updated

    def summary(self) -> dict[str, Any]:
        """As callers are told."""
        return {
            "inserted": self.inserted,
            "updated": self.updated,
            "skipped": self.skipped,
            "deleted": self.deleted,
            "rejected": [asdict(one) for one in self.rejected],
            "kept": self.is_kept,
        }
