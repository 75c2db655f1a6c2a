"""The table plane as OpenAPI describes it: paths and schemas of one table, from its resource."""

from typing import Any
from urllib.parse import unquote

from service.api.responses import headers, problems
from service.api.table_parameters import as_text, component_name, example_filter, filter_parameters, parameters
from service.api.v1.paths import item_url
from service.catalog.resource import Relation, Resource
from service.schemas.document import change_schema, insert_schema, replacement_schema, row_schema
from service.schemas.examples import change_example, example_value, insert_example, put_example, row_example

JsonObject = dict[str, Any]

JSON = "application/json"
# What any request to a table can be told, and any write besides.
_OF_ALL = (400, 401, 403, 404, 406, 414, 422, 429, 503)
_OF_WRITES = (409,)
_OF_BODIES = (413, 415)
# So many columns stand in an example of `select`.
_SHOWN = 3


class TableDescription:
    """All that a document says of one table: paths, and what they refer to."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._name = component_name(resource.name)
        self._key_values = tuple(as_text(example_value(resource.columns[name])) for name in resource.key)
        self._path, _, key = item_url("", resource, self._key_values or ("",)).rpartition("/")
        self._key_example = unquote(key)
        self.filters = filter_parameters(resource)
        self._filters = parameters(*self.filters)
        self._ambiguous = (300,) if resource.relations else ()

    @property
    def tag(self) -> JsonObject:
        return {"name": self._resource.name, "description": self._resource.comment or "A table without a comment."}

    @property
    def schemas(self) -> JsonObject:
        """By the name in `components`."""
        return {
            f"{self._name}.row": row_schema(self._resource),
            f"{self._name}.insert": insert_schema(self._resource),
            f"{self._name}.put": replacement_schema(self._resource),
            f"{self._name}.change": change_schema(self._resource),
        }

    @property
    def paths(self) -> JsonObject:
        """The table's, and that of its rows: a table without a key has none."""
        of_table = {"get": self._list(), "post": self._insert(), "patch": self._update(), "delete": self._delete()}
        of_row = {"get": self._get(), "put": self._replace(), "patch": self._change(), "delete": self._remove()}
        paths: JsonObject = {self._path: of_table}
        if self._resource.key:
            paths[f"{self._path}/{{key}}"] = {"parameters": [self._key()], **of_row}
        return paths

    def _list(self) -> JsonObject:
        rows = self._rows("Rows, at most as many as a page holds.", "Content-Range", "Link", "Preference-Applied")
        part = self._rows("A part of the rows that were counted.", "Content-Range", "Link", "Preference-Applied")
        return self._operation(
            "list",
            f"Read rows of {self._resource.name}",
            "\n\n".join(["The rows that meet all filters, page by page.", self._tries(), self._embeds()]).strip(),
            [*parameters("select", "order", "limit", "offset", "cursor", "and", "or", "PreferRead"), *self._filters],
            {"200": rows, "206": part} | problems(416),
        )

    def _insert(self) -> JsonObject:
        example = insert_example(self._resource)
        schema = self._ref("insert")
        body = _body(
            {"anyOf": [schema, {"type": "array", "items": schema, "title": "an array of them"}]},
            {"one": {"summary": "One row", "value": example}, "many": {"summary": "Several rows", "value": [example]}},
        )
        return self._operation(
            "insert",
            f"Insert rows into {self._resource.name}",
            "One row, or an array of rows that all name the same columns: all of them are inserted, or none. "
            "A single one is told by its `Location` and `ETag`. The answer shows the rows to those who may read them.",
            parameters("select", "PreferWrite"),
            {"201": self._rows("The rows as inserted.", "Location", "ETag", "Content-Range", "Preference-Applied")}
            | problems(*_OF_WRITES, *_OF_BODIES),
            body,
        )

    def _update(self) -> JsonObject:
        return self._operation(
            "update",
            f"Change rows of {self._resource.name}",
            "Makes the same change to every row that meets all filters. Without a filter it is refused, unless "
            "`Prefer: max-affected` says how many rows it may touch.",
            [*parameters("select", "and", "or", "PreferWrite", "If-Match"), *self._filters],
            {"200": self._rows("The rows as they now are.", "Content-Range", "Preference-Applied")}
            | _no_content("Changed.", "Content-Range", "Preference-Applied")
            | problems(*_OF_WRITES, *_OF_BODIES, 412),
            self._change_body(),
        )

    def _delete(self) -> JsonObject:
        return self._operation(
            "delete",
            f"Delete rows of {self._resource.name}",
            "Deletes every row that meets all filters. Without a filter it is refused, unless "
            "`Prefer: max-affected` says how many rows it may touch.",
            [*parameters("select", "and", "or", "PreferWrite", "If-Match"), *self._filters],
            {"200": self._rows("The rows as they were.", "Content-Range", "Preference-Applied")}
            | _no_content("Deleted.", "Content-Range", "Preference-Applied")
            | problems(*_OF_WRITES, 412),
        )

    def _get(self) -> JsonObject:
        not_modified = {"description": "The row is as `If-None-Match` says.", "headers": headers("ETag")}
        return self._operation(
            "get",
            f"Read a row of {self._resource.name}",
            f"The row of that key. {self._key_text()}\n\n{self._embeds()}".strip(),
            parameters("select", "If-None-Match"),
            {"200": self._row("The row.", "ETag"), "304": not_modified},
        )

    def _replace(self) -> JsonObject:
        names = ("ETag", "Preference-Applied")
        return self._operation(
            "put",
            f"Put a row of {self._resource.name}",
            "Makes the row what the body says; columns that the body leaves out get their defaults. Inserts the row "
            "where there is none. With `If-Match` none is inserted, with `If-None-Match: *` none is replaced. "
            + self._key_text(),
            parameters("select", "PreferWrite", "If-Match", "If-None-Match-Any"),
            {
                "200": self._row("The row as it now is.", *names),
                "201": self._row("The row as inserted.", "Location", *names),
            }
            | _no_content("Replaced.", *names)
            | problems(*_OF_WRITES, *_OF_BODIES, 412),
            _body(self._ref("put"), {"row": {"value": put_example(self._resource)}}),
        )

    def _change(self) -> JsonObject:
        return self._operation(
            "change",
            f"Change a row of {self._resource.name}",
            f"Sets the columns that the body names, and leaves the others as they are. {self._key_text()}",
            parameters("select", "PreferWrite", "If-Match"),
            {"200": self._row("The row as it now is.", "ETag", "Preference-Applied")}
            | _no_content("Changed.", "ETag", "Preference-Applied")
            | problems(*_OF_WRITES, *_OF_BODIES, 412),
            self._change_body(),
        )

    def _remove(self) -> JsonObject:
        return self._operation(
            "remove",
            f"Delete a row of {self._resource.name}",
            f"Deletes the row of that key. {self._key_text()}",
            parameters("select", "PreferWrite", "If-Match"),
            {"200": self._row("The row as it was.", "Preference-Applied")}
            | _no_content("Deleted.", "Preference-Applied")
            | problems(*_OF_WRITES, 412),
        )

    def _operation(
        self,
        verb: str,
        summary: str,
        description: str,
        taken: list[JsonObject],
        answers: JsonObject,
        body: JsonObject | None = None,
    ) -> JsonObject:
        return {
            "tags": [self._resource.name],
            "operationId": f"{verb}_{self._name}",
            "summary": summary,
            "description": description,
            "parameters": taken,
            "responses": dict(sorted((answers | problems(*_OF_ALL, *self._ambiguous)).items())),
        } | ({"requestBody": body} if body is not None else {})

    def _key(self) -> JsonObject:
        """The path's parameter. A key of several columns is one text."""
        example: object = self._key_example
        one = r'("[^"]*"|[^,"]+)'
        if len(self._resource.key) > 1:
            schema: JsonObject = {"type": "string", "pattern": f"^{','.join([one] * len(self._resource.key))}$"}
        else:
            column = self._resource.columns[self._resource.key[0]]
            known: JsonObject = row_schema(self._resource)["properties"][column.name]
            schema = {part: value for part, value in known.items() if part != "description"}
            example = example_value(column)
            schema |= {"minLength": 1} if schema.get("type") == "string" else {}
        return {
            "name": "key",
            "in": "path",
            "required": True,
            "description": self._key_text(),
            "schema": schema | {"examples": [example]},
        }

    def _key_text(self) -> str:
        names = [f"`{name}`" for name in self._resource.key]
        if len(names) == 1:
            return f"The key is {names[0]}."
        return (
            f"The key is the values of {', '.join(names)} in this order, parted by commas: "
            f"`{self._key_example}`. A value with a comma or a quote is written in double quotes."
        )

    def _tries(self) -> str:
        """A query that can be copied."""
        columns = list(self._resource.columns.values())
        shown, sorted_by = columns[:_SHOWN], columns[-1].name
        query = f"select={','.join(column.name for column in shown)}&order={sorted_by}.desc&limit=10"
        return f"Such as `{self._path}?{shown[-1].name}={example_filter(shown[-1])}&{query}`"

    def _embeds(self) -> str:
        if not self._resource.relations:
            return ""
        lines = "\n".join(f"- {_embed(way)}" for way in self._resource.relations)
        return f"`select` can embed related rows, such as `select=*,{self._resource.relations[0].name}(*)`:\n\n{lines}"

    def _ref(self, kind: str) -> JsonObject:
        return {"$ref": f"#/components/schemas/{self._name}.{kind}"}

    def _row(self, text: str, *names: str) -> JsonObject:
        content = {"schema": self._ref("row"), "example": row_example(self._resource)}
        return {"description": text, "headers": headers(*names), "content": {JSON: content}}

    def _rows(self, text: str, *names: str) -> JsonObject:
        content = {"schema": {"type": "array", "items": self._ref("row")}, "example": [row_example(self._resource)]}
        return {"description": text, "headers": headers(*names), "content": {JSON: content}}

    def _change_body(self) -> JsonObject:
        return _body(self._ref("change"), {"change": {"value": change_example(self._resource)}})


def _embed(way: Relation) -> str:
    return f"`{way.name}(…)`: " + (f"an array of rows of `{way.target}`" if way.is_many else f"a row of `{way.target}`")


def _body(schema: JsonObject, examples: JsonObject) -> JsonObject:
    return {"required": True, "content": {JSON: {"schema": schema, "examples": examples}}}


def _no_content(text: str, *names: str) -> JsonObject:
    return {"204": {"description": text, "headers": headers(*names)}}
