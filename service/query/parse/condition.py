"""Conditions: `eq.5`, `not.in.(a,b)`, `like(any).{a*,b*}`, `fts(english).word`."""

import difflib
import re
from collections.abc import Container

from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.query.parse.field import Field, resolve
from service.query.parse.reader import Reader
from service.query.plan import (
    Aggregated,
    Bind,
    BindKind,
    ColumnRef,
    Comparison,
    HasEmbedded,
    IsValue,
    Not,
    Operator,
    Predicate,
    Quantifier,
)

_PATTERNS = frozenset({Operator.LIKE, Operator.ILIKE})
_QUANTIFIABLE = _PATTERNS | {
    Operator.EQ, Operator.GT, Operator.GTE, Operator.LT, Operator.LTE, Operator.MATCH, Operator.IMATCH
}  # fmt: skip
_FULL_TEXT = frozenset({Operator.FTS, Operator.PLFTS, Operator.PHFTS, Operator.WFTS})
_WORD = re.compile(r"[^.,()]*")


def parse_condition(
    resource: Resource, name: str | Field, text: str, embeds: Container[str] = frozenset()
) -> Predicate:
    """A filter of one parameter: its name is the column, its value the operator and operand."""
    field = Field(name) if isinstance(name, str) else name
    reader = Reader(text, f"The filter on {field.name!r}")
    predicate = read_condition(resource, field, reader, embeds, is_inside=False)
    reader.expect_end()
    return predicate


def read_condition(
    resource: Resource, field: Field, reader: Reader, embeds: Container[str], *, is_inside: bool
) -> Predicate:
    """What a field must meet. A table that is embedded under its name can only be asked whether there are rows.

    Inside `and` and `or` a value ends at a comma or parenthesis; elsewhere it is the rest of the text.
    """
    if field.name in embeds and not field.path and not _is_of_column(resource, field.name, reader):
        return _presence(field.name, reader, is_inside=is_inside)
    return read_comparison(resolve(resource, field), reader, is_inside=is_inside)


def _is_of_column(resource: Resource, name: str, reader: Reader) -> bool:
    """Whether a name that a column and an embedded table have alike is the column's: all but `is` compares values."""
    return name in resource.columns and not (reader.next_is("is.") or reader.next_is("not.is."))


def read_comparison(column: ColumnRef | Aggregated, reader: Reader, *, is_inside: bool) -> Predicate:
    is_negated = reader.skip("not.")
    comparison = _comparison(column, reader, is_inside=is_inside)
    return Not(comparison) if is_negated else comparison


def _presence(alias: str, reader: Reader, *, is_inside: bool) -> Predicate:
    is_negated = reader.skip("not.")
    constant = _constant(_value(reader, is_inside=is_inside)) if reader.skip("is.") else None
    if constant not in (IsValue.NULL, IsValue.NOT_NULL):
        raise InvalidQuery(
            f"Bad operator on the {alias!r} embedded resource",
            details="Only is null or not is null filters are allowed on embedded resources",
            code="PGRST120",
        )
    return HasEmbedded(alias) if is_negated == (constant is IsValue.NULL) else Not(HasEmbedded(alias))


def _comparison(column: ColumnRef | Aggregated, reader: Reader, *, is_inside: bool) -> Comparison:
    operator = _operator(reader)
    quantifier, configuration = _modifier(operator, reader) if reader.next_is("(") else (None, None)
    reader.expect(".")
    if operator is Operator.IS:
        return Comparison(column, operator, constant=_constant(_value(reader, is_inside=is_inside)))
    if operator is Operator.IN:
        return Comparison(column, operator, Bind(reader.items(), BindKind.LIST))
    value = _value(reader, is_inside=is_inside)
    # A percent sign would have to be written %25 in a URL: the language takes an asterisk as well.
    operand = Bind(value.replace("*", "%") if operator in _PATTERNS else value)
    return Comparison(column, operator, operand, quantifier=quantifier, configuration=configuration)


def _operator(reader: Reader) -> Operator:
    found = reader.match(_WORD)
    word = found[0] if found else ""
    try:
        return Operator(word)
    except ValueError:
        near = difflib.get_close_matches(word[:16], [item.value for item in Operator], n=1, cutoff=0.3)
        raise InvalidQuery(
            f"There is no operator {word[:32]!r}.",
            hint=f"Perhaps you meant {near[0]!r}." if near else "Write a filter as column=operator.value.",
        ) from None


def _modifier(operator: Operator, reader: Reader) -> tuple[Quantifier | None, Bind | None]:
    """`(any)`, `(all)`, or the configuration of a full-text search."""
    reader.expect("(")
    word = reader.name()
    reader.expect(")")
    if operator in _FULL_TEXT:
        return None, Bind(word)
    if operator in _QUANTIFIABLE and word in tuple(Quantifier):
        return Quantifier(word), None
    raise InvalidQuery(
        f"{operator.value!r} does not take ({word[:32]}).",
        hint="any and all go with eq, gt, gte, lt, lte, like, ilike, match and imatch.",
    )


def _value(reader: Reader, *, is_inside: bool) -> str:
    if not is_inside:
        return reader.rest()
    array = reader.array()
    return reader.item() if array is None else array


def _constant(word: str) -> IsValue:
    try:
        return IsValue(word.lower())
    except ValueError:
        raise InvalidQuery(
            f"`is` does not compare with {word[:32]!r}.", hint="It takes null, not_null, true, false or unknown."
        ) from None
