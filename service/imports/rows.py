"""Rows of an import on their way into the stage."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from service.core.errors import FieldError, InvalidBody, Rejected, TooManyRejected
from service.db.transaction import CopyFormat
from service.query.plan import StagedForm

_LONGEST_VALUE = 100
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Rows:
    """`chunks` are rows in COPY's CSV format, of fields for `names` in their order, or of one JSON object each.

    Where `is_numbered` a number stands before each row. Else they count from 1, or are told by the line of the file on
    which they end, `lines_before` of which lie before the first.
    """

    names: tuple[str, ...]
    chunks: AsyncIterator[bytes]
    form: StagedForm
    copied: CopyFormat
    nested: frozenset[str] = frozenset()
    empty_is_null: bool = False
    is_numbered: bool = False
    lines_before: int | None = None


@dataclass(slots=True)
class Rejections:
    """The rows that are left out, at most so many; with `most` None, none is."""

    most: int | None
    rows: list[Rejected] = field(default_factory=list)

    def add(self, rejected: Rejected, error: InvalidBody | None = None) -> None:
        """Leave a row out.

        Raises:
            InvalidBody: none is left out; `error`, or one that tells of the row.
            TooManyRejected: there are too many by now.
        """
        cut = Rejected(
            rejected.row,
            rejected.column,
            _cut(rejected.reason, _LONGEST_REASON),
            rejected.code,
            None if rejected.value is None else _cut(rejected.value, _LONGEST_VALUE),
        )
        if self.most is None:
            raise error or InvalidBody(
                f"Row {cut.row}: {cut.reason}",
                fields=[FieldError(cut.column or "", cut.reason, cut.row)],
                code=cut.code,
            )
        self.rows.append(cut)
        if len(self.rows) > self.most:
            raise TooManyRejected(f"More than {self.most} rows were refused; nothing was written.", self.in_order())

    def in_order(self) -> list[Rejected]:
        return sorted(self.rows, key=lambda one: one.row)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
