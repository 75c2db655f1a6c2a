"""The types that a column can be cast to."""

import re

from service.catalog.resource import Resource
from service.core.errors import InvalidQuery

# PostgreSQL's own types of values. Not among them: those that name tables and roles (`regclass` and its like), those
# that PostgreSQL keeps for itself, and rows of tables, which would show the columns of a table that is hidden.
_OWN = frozenset(
    """
    bigint int8 bigserial bit varbit boolean bool box bytea char character bpchar varchar cidr circle date
    double float8 integer int int4 interval json jsonb jsonpath line lseg macaddr macaddr8 money numeric decimal path
    pg_lsn point polygon real float float4 smallint int2 text name time timetz timestamp timestamptz tsquery tsvector
    uuid xml inet oid xid int4range int8range numrange tsrange tstzrange daterange int4multirange int8multirange
    nummultirange tsmultirange tstzmultirange datemultirange citext hstore ltree geometry geography
    """.split()
)
_MODIFIERS = re.compile(r" ?\([0-9, ]*\)|\[\]| (?:precision|varying|with(?:out)? time zone)$| (?:precision|varying)")


def check_cast(resource: Resource, name: str | None) -> None:
    """Let through PostgreSQL's own types, and those that columns of the table have, such as its enums.

    Raises:
        InvalidQuery: it is another type.
    """
    if name is None:
        return
    plain = re.sub(r" (?:with|without) time zone", "", _MODIFIERS.sub("", name)).strip().removeprefix("pg_catalog.")
    if plain in _OWN:
        return
    own = {column.base_type.lower() for column in resource.columns.values()}
    own |= {column.sql_type.lower() for column in resource.columns.values()}
    if plain not in own and plain not in {kind.rpartition(".")[2] for kind in own}:
        raise InvalidQuery(
            f'type "{name[:32]}" does not exist',
            hint="Cast to one of PostgreSQL's own types of values, or of those that columns of the table have.",
            code="42704",
        )
