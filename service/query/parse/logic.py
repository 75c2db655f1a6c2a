"""`and`, `or` and `having`: conditions in groups, nested."""

import re
from collections.abc import Callable, Container

from service.catalog.resource import Resource
from service.core.errors import LimitExceeded
from service.query.parse.condition import read_comparison, read_condition
from service.query.parse.field import read_field, read_measure
from service.query.parse.reader import Reader
from service.query.plan import And, Not, Or, Predicate

_GROUP = re.compile(r"(not\.)?(and|or)(?=[ \t]*\()")

ReadTerm = Callable[[Reader], Predicate]


def parse_logic(
    resource: Resource,
    text: str,
    embeds: Container[str] = frozenset(),
    *,
    is_or: bool,
    is_negated: bool,
    max_depth: int,
) -> Predicate:
    """`and=(…)` and `or=(…)`, nested as deep as `max_depth`."""

    def term(reader: Reader) -> Predicate:
        field = read_field(reader)
        reader.expect(".")
        return read_condition(resource, field, reader, embeds, is_inside=True)

    predicate = _parse(text, "The filter 'or'" if is_or else "The filter 'and'", term, max_depth, is_or=is_or)
    return Not(predicate) if is_negated else predicate


def parse_having(resource: Resource, text: str, *, max_depth: int) -> Predicate:
    """`having=(amount.sum().gt.10,or(…))`: what groups of rows must meet."""

    def term(reader: Reader) -> Predicate:
        measure = read_measure(resource, reader)
        reader.expect(".")
        return read_comparison(measure, reader, is_inside=True)

    return _parse(text, "'having'", term, max_depth, is_or=False)


def _parse(text: str, what: str, term: ReadTerm, max_depth: int, *, is_or: bool) -> Predicate:
    reader = Reader(text, what)
    predicate = _group(reader, term, max_depth, is_or=is_or)
    reader.expect_end()
    return predicate


def _group(reader: Reader, term: ReadTerm, depth: int, *, is_or: bool) -> Predicate:
    if depth == 0:
        raise LimitExceeded("`and` and `or` are nested more deeply than the service allows.")
    reader.expect_around("(")
    terms = tuple(reader.list_of(lambda: _term(reader, term, depth)))
    reader.expect_around(")")
    return Or(terms) if is_or else And(terms)


def _term(reader: Reader, term: ReadTerm, depth: int) -> Predicate:
    group = reader.match(_GROUP)
    if group is None:
        return term(reader)
    predicate = _group(reader, term, depth - 1, is_or=group[2] == "or")
    return Not(predicate) if group[1] else predicate
