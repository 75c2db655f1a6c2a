"""Filters: `eq.5`, `not.in.(a,b)`, and the logic of `and`/`or` around them."""

import difflib

from service.catalog.catalog import unknown_column
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery, LimitExceeded
from service.query.parse.reader import Reader
from service.query.plan import And, Bind, BindKind, ColumnRef, Comparison, IsValue, Not, Operator, Or, Predicate

_TEXT_TYPES = ("text", "varchar", "character", "char", "name", "citext", "bpchar")
_PATTERNS = frozenset({Operator.LIKE, Operator.ILIKE})
_ON_TEXT = _PATTERNS | {Operator.MATCH, Operator.IMATCH}


def parse_condition(resource: Resource, column: str, text: str) -> Predicate:
    """A filter of one parameter: its name is the column, its value the operator and operand."""
    reader = Reader(text, f"The filter on {column!r}")
    predicate = _condition(resource, column, reader, is_inside=False)
    reader.expect_end()
    return predicate


def parse_logic(resource: Resource, text: str, *, is_or: bool, is_negated: bool, max_depth: int) -> Predicate:
    """`and=(…)` and `or=(…)`, nested as deep as `max_depth`."""
    reader = Reader(text, "The filter 'or'" if is_or else "The filter 'and'")
    predicate = _group(resource, reader, is_or=is_or, depth=max_depth)
    reader.expect_end()
    return Not(predicate) if is_negated else predicate


def _group(resource: Resource, reader: Reader, *, is_or: bool, depth: int) -> Predicate:
    if depth == 0:
        raise LimitExceeded("`and` and `or` are nested more deeply than the service allows.")
    reader.expect("(")
    terms = [_term(resource, reader, depth)]
    while reader.skip(","):
        terms.append(_term(resource, reader, depth))
    reader.expect(")")
    return Or(tuple(terms)) if is_or else And(tuple(terms))


def _term(resource: Resource, reader: Reader, depth: int) -> Predicate:
    is_negated = reader.skip("not.")
    for word, is_or in (("and(", False), ("or(", True)):
        if reader.next_is(word):
            reader.expect(word[:-1])
            group = _group(resource, reader, is_or=is_or, depth=depth - 1)
            return Not(group) if is_negated else group
    column = reader.name()
    reader.expect(".")
    condition = _condition(resource, column, reader, is_inside=True)
    return Not(condition) if is_negated else condition


def _condition(resource: Resource, column: str, reader: Reader, *, is_inside: bool) -> Predicate:
    if column not in resource.columns:
        raise unknown_column(resource, column)
    is_negated = reader.skip("not.")
    operator = _operator(reader)
    comparison = _comparison(resource, ColumnRef(column), operator, reader, is_inside=is_inside)
    return Not(comparison) if is_negated else comparison


def _operator(reader: Reader) -> Operator:
    word = reader.until(".,()")
    try:
        operator = Operator(word)
    except ValueError:
        near = difflib.get_close_matches(word[:16], [item.value for item in Operator], n=1, cutoff=0.3)
        raise InvalidQuery(
            f"There is no operator {word[:32]!r}.",
            hint=f"Perhaps you meant {near[0]!r}." if near else "Write a filter as column=operator.value.",
        ) from None
    reader.expect(".")
    return operator


def _comparison(
    resource: Resource, column: ColumnRef, operator: Operator, reader: Reader, *, is_inside: bool
) -> Comparison:
    if operator is Operator.IS:
        return Comparison(column, operator, constant=_constant(reader.item() if is_inside else reader.rest()))
    if operator is Operator.IN:
        return Comparison(column, operator, Bind(reader.items(), BindKind.LIST))
    sql_type = resource.columns[column.name].sql_type
    if operator in _ON_TEXT and not sql_type.startswith(_TEXT_TYPES):
        raise InvalidQuery(f"{operator.value!r} compares text, and column {column.name!r} is {sql_type}.")
    value = reader.item() if is_inside else reader.rest()
    # A percent sign would have to be written %25 in a URL: the language takes an asterisk as well.
    return Comparison(column, operator, Bind(value.replace("*", "%") if operator in _PATTERNS else value))


def _constant(word: str) -> IsValue:
    try:
        return IsValue(word.lower())
    except ValueError:
        raise InvalidQuery(
            f"`is` does not compare with {word[:32]!r}.", hint="It takes null, not_null, true, false or unknown."
        ) from None
