"""Puts each parameter of a request where it belongs: into the table that its name leads to."""

from service.core.errors import InvalidQuery
from service.query.parse.condition import parse_condition
from service.query.parse.field import Field, read_path
from service.query.parse.level import Level
from service.query.parse.logic import parse_having, parse_logic
from service.query.parse.order import parse_order
from service.query.parse.parameters import OF_A_TABLE
from service.query.parse.reader import Reader

_LARGEST = 2**63 - 1


def gather(root: Level, name: str, text: str, max_depth: int) -> None:
    """`airline.name=eq.x` is the filter `name=eq.x` of the embedded `airline`; `airline.limit=5` is its limit."""
    path, field = _target(name)
    word = name.rpartition(".")[2]
    if word not in OF_A_TABLE:
        level = root.at(path)
        level.where.append(parse_condition(level.resource, field, text, level.children))
    elif word in ("and", "or"):
        is_negated = bool(path) and path[-1] == "not"
        level = root.at(path[:-1] if is_negated else path)
        level.where.append(
            parse_logic(
                level.resource, text, level.children, is_or=word == "or", is_negated=is_negated, max_depth=max_depth
            )
        )
    else:
        _set(root.at(path), word, text, max_depth)


def _target(name: str) -> tuple[list[str], Field]:
    reader = Reader(name, "The parameter's name")
    segments = [reader.name()]
    while reader.skip("."):
        segments.append(reader.name())
    field = Field(segments[-1], read_path(reader))
    reader.expect_end()
    return segments[:-1], field


def _set(level: Level, word: str, text: str, max_depth: int) -> None:
    match word:
        case "order":
            order = parse_order(level.resource, text, level.children, is_grouped=level.is_grouped) if text else ()
            level.order = order
        case "having":
            if not level.is_grouped:
                raise InvalidQuery(
                    "'having' needs an aggregate in 'select'.", hint="Filter rows by column=operator.value."
                )
            level.having.append(parse_having(level.resource, text, max_depth=max_depth))
        case "limit":
            level.limit = _number(word, text)
        case _:
            level.offset = max(_number(word, text), 0)


def _number(name: str, text: str) -> int:
    """The number. An offset may be negative, which skips nothing, as in PostgREST."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) <= _LARGEST):
        raise InvalidQuery(f"{name!r} must be a whole number, not negative.")
    if int(text) < 0 and name == "limit":
        raise InvalidQuery(
            "Requested range not satisfiable",
            details=f"{name.capitalize()} should be greater than or equal to zero.",
            code="PGRST103",
        )
    return int(text)
