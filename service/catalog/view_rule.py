"""Where the columns of a view come from, by the rule that makes it (`pg_rewrite.ev_action`).

The rule is PostgreSQL's own query tree as text. It is not documented, but each entry of a target list has said which
column of which table it is since PostgreSQL 7 (`resorigtbl`, `resorigcol`), through subqueries and CTEs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# A brace inside a name is escaped with a backslash, as a space is: what is escaped is passed over.
_TOKEN = re.compile(
    r"\\."
    r"|\{(?P<node>\w+)"
    r"|(?P<end>\})"
    r"|:(?P<field>resno|resorigtbl|resorigcol|hasTargetSRFs|groupingSets|rtekind|relid|rtindex) "
    r"(?P<value>[^\s{}()]+)",
    re.DOTALL,
)
# The one kind of entry in a range table that is a table or view. The entries' node was renamed in PostgreSQL 16.
_RELATION = "0"
_ENTRIES = ("RTE", "RANGETBLENTRY")
# What stands in FROM: a table on its own, or a join (whose entry is of another kind).
_SOURCES = (("RANGETBLREF",), ("JOINEXPR",))
_DEPTH = 3

Node = tuple[tuple[str, ...], dict[str, str]]


@dataclass(frozen=True, slots=True)
class ViewRule:
    """`origins`: by the number of a column, the (relation, column) that it is; columns that are computed have none.

    `rows_of` is the relation of whose rows the view shows some, each at most once; None where it joins or multiplies.
    """

    origins: Mapping[int, tuple[int, int]]
    rows_of: int | None


def read_rule(action: str) -> ViewRule:
    """The rule of a view. What lies in subqueries is passed over: the outermost query speaks for the view."""
    nodes = _upper_nodes(action)
    entries = [fields for path, fields in nodes if path == ("QUERY", "TARGETENTRY")]
    origins = {
        int(entry["resno"]): (int(entry["resorigtbl"]), int(entry["resorigcol"]))
        for entry in entries
        if entry["resorigtbl"] != "0" and int(entry["resorigcol"]) > 0
    }
    return ViewRule(origins, _rows_of(nodes))


def _upper_nodes(action: str) -> list[Node]:
    """The nodes of the outermost levels, each with the kinds of nodes that it lies in and its own fields."""
    nodes: list[Node] = []
    path: list[str] = []
    open_fields: list[dict[str, str]] = []
    for token in _TOKEN.finditer(action):
        if token["node"]:
            path.append(token["node"])
            open_fields.append({})
            if len(path) <= _DEPTH:
                nodes.append((tuple(path), open_fields[-1]))
        elif token["end"]:
            path.pop()
            open_fields.pop()
        elif token["field"]:
            open_fields[-1].setdefault(token["field"], token["value"])
    return nodes


def _rows_of(nodes: list[Node]) -> int | None:
    query = next(fields for path, fields in nodes if path == ("QUERY",))
    entries = [fields for path, fields in nodes if len(path) == 2 and path[1] in _ENTRIES]
    sources = [fields for path, fields in nodes if path[:2] == ("QUERY", "FROMEXPR") and path[2:] in _SOURCES]
    if len(sources) != 1 or "rtindex" not in sources[0] or query.get("hasTargetSRFs") != "false":
        return None
    entry = entries[int(sources[0]["rtindex"]) - 1]
    is_plain = entry["rtekind"] == _RELATION and query.get("groupingSets") in (None, "<>")
    return int(entry["relid"]) if is_plain else None
