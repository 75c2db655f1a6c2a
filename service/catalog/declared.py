"""Resources from the declared models."""

import re

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Dialect, ForeignKeyConstraint, Table
from sqlalchemy.dialects.postgresql import dialect as postgresql
from sqlalchemy.orm import DeclarativeBase, RelationshipProperty, configure_mappers

from service.catalog.catalog import Catalog
from service.catalog.resource import Column, Relation, Resource

_DIALECT: Dialect = postgresql()  # type: ignore[no-untyped-call]


def declared_catalog(base: type[DeclarativeBase]) -> Catalog:
    """A resource for each mapped class, related both ways, in the order in which the tables depend on each other."""
    configure_mappers()
    ways = [_relation(relationship) for mapper in base.registry.mappers for relationship in mapper.relationships]
    return Catalog(
        Resource.build(
            table.name,
            table,
            tuple(_column(column) for column in table.columns),
            tuple(relation for source, relation in _both_ways(ways) if source == table.name),
        )
        for table in base.metadata.sorted_tables
    )


def _column(column: "SqlColumn[object]") -> Column:
    return Column(
        name=column.name,
        sql=column,
        sql_type=column.type.compile(_DIALECT).lower(),
        is_nullable=bool(column.nullable),
        has_default=column.server_default is not None or column.identity is not None,
        is_writable=column.computed is None,
        comment=column.comment,
        base_type=_base_type(column),
        is_always_numbered=column.identity is not None and bool(column.identity.always),
    )


def _base_type(column: "SqlColumn[object]") -> str:
    """The type without its length or precision."""
    return re.sub(r"\(.*?\)", "", column.type.compile(_DIALECT).lower())


def _relation(relationship: "RelationshipProperty[object]") -> tuple[str, Relation]:
    source, target = relationship.parent.local_table, relationship.target
    if not isinstance(source, Table) or not isinstance(target, Table):
        raise TypeError(f"{relationship} joins something that is no table")
    pairs = tuple((here.name, there.name) for here, there in relationship.local_remote_pairs or ())
    return source.name, Relation(
        name=relationship.key,
        target=target.name,
        is_many=bool(relationship.uselist),
        pairs=pairs,
        constraint=_constraint(source, target, pairs),
        is_back=bool(relationship.uselist),
    )


def _constraint(source: Table, target: Table, pairs: tuple[tuple[str, str], ...]) -> str | None:
    for constraint in source.constraints:
        if isinstance(constraint, ForeignKeyConstraint) and constraint.referred_table is target:
            if {(key.parent.name, key.column.name) for key in constraint.elements} == set(pairs):
                return str(constraint.name)
    return None


def _both_ways(ways: list[tuple[str, Relation]]) -> list[tuple[str, Relation]]:
    """Add, to each way, the way back: the rows that refer to this one, under the name of their table."""
    backward = [
        (
            way.target,
            Relation(
                name=f"{source}_by_{way.name}",
                target=source,
                is_many=True,
                pairs=tuple((there, here) for here, there in way.pairs),
                constraint=way.constraint,
                is_back=True,
            ),
        )
        for source, way in ways
        if not way.is_many
    ]
    return ways + backward
