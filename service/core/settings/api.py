"""Requests, exports and imports."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from service.core.settings.section import Section


class DefaultReturn(StrEnum):
    REPRESENTATION = "representation"
    MINIMAL = "minimal"


class UnfilteredWrites(StrEnum):
    REFUSE = "refuse"
    ALLOW = "allow"


class ApiSettings(Section):
    """Bounds of what one request may ask for."""

    api_max_rows: int = Field(10_000, ge=1, description='Most rows in one answer; further ones by `rel="next"`.')
    api_max_body_bytes: int = Field(10 * 2**20, ge=1024, description="Largest request body, in bytes.")
    api_max_url_bytes: int = Field(16 * 2**10, ge=256, description="Longest path and query string, in bytes.")
    api_default_return: DefaultReturn = Field(
        DefaultReturn.REPRESENTATION,
        description="What a POST, PATCH or PUT answers that says no `Prefer: return`: `representation` (the rows), or "
        "`minimal` as PostgREST does.",
    )
    api_unfiltered_writes: UnfilteredWrites = Field(
        UnfilteredWrites.REFUSE,
        description="Whether a PATCH or DELETE of a whole table is done (`allow`) or refused (`refuse`).",
    )
    api_aggregates: bool = Field(False, description="Allow aggregates (`sum()`, `count()` …) in `select`.")
    api_tx_override: bool = Field(False, description="Allow `Prefer: tx=rollback`, which does a write and undoes it.")
    api_max_batch: int = Field(100, ge=1, description="Most operations in one batch.")
    api_max_undo: int = Field(10_000, ge=1, description="Most changes that are undone at once.")
    api_max_plan_cost: float | None = Field(
        None, gt=0, description="Highest cost that PostgreSQL may estimate for a read. Default: none."
    )
    api_max_depth: int = Field(8, ge=1, description="Deepest nesting of embedded tables and of `and`/`or`.")


class ExportSettings(Section):
    """Whole tables in files: CSV, NDJSON, columns, Arrow, Parquet."""

    export_connections: int = Field(4, ge=1, description="Most exports at once, per process; each has a connection.")
    export_timeout: float = Field(
        3600.0, gt=0, description="Seconds after which PostgreSQL stops an export, however slowly it is read."
    )
    export_idle_seconds: float = Field(
        60.0, gt=0, description="Seconds that a client may take nothing of an export before it is cancelled."
    )
    export_dir: Path | None = Field(
        None,
        description="Folder of Parquet files that are read in ranges; one for all processes that share their callers. "
        "By default one of the system's for temporary files.",
    )
    export_file_seconds: float = Field(
        300.0, gt=0, description="Seconds that such a file is kept after it was last read."
    )
    export_disk_bytes: int = Field(10 * 2**30, ge=2**20, description="Most bytes of such files together.")
    export_link_seconds: int = Field(300, ge=1, le=86400, description="Life of a signed link to an export.")


class ImportSettings(Section):
    """Imports: many rows in one body."""

    import_max_bytes: int = Field(4 * 2**30, ge=1024, description="Largest body of an import, in bytes.")
    import_timeout: float = Field(
        900.0, gt=0, description="Seconds that an import may take, with the time in which its body arrives."
    )
    import_at_once: int = Field(
        2, ge=1, description="Most imports at once, per process: each holds a connection of the table plane."
    )
    import_max_rejected: int = Field(
        1000, ge=1, description="Most rows that `Prefer: max-rejected` lets an import leave out."
    )
    import_max_waiting: int = Field(
        4, ge=1, description="Most imports of one principal that wait for a worker, or run there (`respond-async`)."
    )
