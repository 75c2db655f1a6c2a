"""The columns of a statement's result, as PostgreSQL describes them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column: its type by its name in `pg_type`, below all domains; of an array, that of its elements.

    `kind` is `typtype` in `pg_type`: `b` a base type, `e` an enum (`labels` in their order), `c` a composite, `r` and
    `m` ranges, `p` a record that has no type of its own. `precision` and `scale` are those of a numeric,
    `dimensions` those of an array, where they are known.
    """

    name: str
    type: str
    kind: str
    is_array: bool = False
    labels: tuple[str, ...] = ()
    precision: int | None = None
    scale: int | None = None
    dimensions: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether its JSON is without line breaks: `json` is kept as it came, and arrays of rows have some."""
        return self.kind in ("b", "e") and not self.is_array and self.type != "json"
