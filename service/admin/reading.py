"""Rows as pages show them: each value as PostgreSQL's own text, references with the label of their row."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from service.admin.fields import Field, label_column
from service.admin.filters import quoted_name
from service.admin.visit import Visit
from service.api.v1.paths import key_text
from service.catalog.catalog import Catalog
from service.catalog.resource import Relation, Resource
from service.core.errors import AmbiguousRelation, RelationNotFound
from service.core.types import Action

_LABEL = "_label_"
Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as text, as PostgreSQL writes it; None is NULL. A reference has a label and leads to its row."""

    text: str | None
    label: str | None = None
    path: str | None = None


def value_select(field: Field) -> str:
    """What to select for a value as text, in the query language; of a domain with casts of its own, what they make."""
    has_own = field.column.representation is not None and field.column.representation.to_json is not None
    return quoted_name(field.name) + ("" if has_own else "::text")


def value_text(value: object) -> str | None:
    """What was read by `value_select`, as text."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def key_in(resource: Resource, row: Mapping[str, Any]) -> str:
    """The key of a row that was read, as it stands in paths."""
    return key_text(tuple(row[name] for name in resource.key))


def encode(pairs: Pairs) -> str:
    """Parameters as a query string."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def labels_of(visit: Visit, resource: Resource, fields: Sequence[Field]) -> dict[str, str]:
    """For each reference whose target the operator may read, what to embed of it: the column that tells people which
    row it is.
    """
    policy, principal = visit.runtime.policy, visit.session.principal
    visible = policy.visible(principal)
    labels = {}
    for field in fields:
        target = visible.find(field.reference.target) if field.reference else None
        if field.reference is not None and target is not None and policy.may(principal, target, Action.READ):
            label = label_column(target)
            way = _embedding(visible, resource, field.reference) if label else None
            if label is not None and way is not None:
                labels[field.name] = f"{way}({quoted_name(label)}::text)"
    return labels


def _embedding(catalog: Catalog, resource: Resource, way: Relation) -> str | None:
    """How the query language names this way and no other: of a table that refers to itself, the name is not enough."""
    constraint, column = way.constraint or "", way.pairs[0][0]
    for target, hint in ((way.target, constraint), (column, None), (constraint, None)):
        with suppress(RelationNotFound, AmbiguousRelation):
            if catalog.relation(resource, target, hint) is way:
                return quoted_name(target) + (f"!{quoted_name(hint)}" if hint else "")
    return None


def label_selects(fields: Sequence[Field], labels: Mapping[str, str]) -> list[str]:
    """What to select for the labels, in the query language: each as an embedded row with an alias by its number."""
    return [f"{_LABEL}{number}:{labels[field.name]}" for number, field in enumerate(fields) if field.name in labels]


def label_in(row: Mapping[str, Any], number: int) -> str | None:
    """The label of field number so and so."""
    embedded = row.get(f"{_LABEL}{number}")
    return next(iter(embedded.values()), None) if isinstance(embedded, dict) else None


def cells_of(visit: Visit, fields: Sequence[Field], row: Mapping[str, Any]) -> list[Cell]:
    """The values of a row that was read with `label_selects` of the same fields."""
    return [
        Cell(
            value_text(row[field.name]),
            label_in(row, number),
            reference_path(visit, field, value_text(row[field.name])),
        )
        for number, field in enumerate(fields)
    ]


def reference_path(visit: Visit, field: Field, value: str | None) -> str | None:
    """The page of the row that a reference names, where its key is what the foreign key refers to."""
    if field.reference is None or value is None:
        return None
    target = visit.runtime.policy.visible(visit.session.principal).find(field.reference.target)
    if target is None or target.key != (field.reference.pairs[0][1],):
        return None
    return visit.of_row(target, "details", (value,))
