"""Names as they stand in paths."""

from collections.abc import Iterable, Mapping, Sequence

Place = tuple[str, str]


def path_names(places: Iterable[Place], schemas: Sequence[str]) -> Mapping[Place, str]:
    """The name of each (schema, name): bare in the first of the schemas, `schema.name` elsewhere.

    A bare name that reads like a qualified one gives way to it.
    """
    places = set(places)
    qualified = {f"{schema}.{name}" for schema, name in places if schema != schemas[0]}
    return {
        (schema, name): name if schema == schemas[0] and name not in qualified else f"{schema}.{name}"
        for schema, name in places
    }
