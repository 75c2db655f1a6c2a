"""The table plane as OpenAPI describes it: paths and components of one table, from its resource.

What comes in several operations is a component of the table, so that the document of hundreds of them stays small.
"""

from typing import Any
from urllib.parse import unquote

from service.api.bodies import inserted_answer, row_answer, row_body, rows_answer, rows_body
from service.api.responses import answer, problems
from service.api.rights import Rights
from service.api.shared_parameters import parameters
from service.api.table_parameters import (
    as_text,
    component_name,
    example_filter,
    filter_parameters,
    filter_schemas,
    written_name,
)
from service.api.v1.paths import item_url, table_url
from service.catalog.catalog import unsettable
from service.catalog.resource import DELETED_AT, Relation, Resource
from service.core.settings import ApiSettings
from service.core.types import Action
from service.schemas.document import change_schema, input_schema, insert_schema, replacement_schema, row_schema
from service.schemas.examples import example_value, insert_example
from service.schemas.types import value_schema

JsonObject = dict[str, Any]

# What any request to a table can be told, and any write besides.
_OF_ALL = (400, 401, 403, 404, 406, 414, 422, 429, 503)
_OF_WRITES = (409,)
_OF_BODIES = (413, 415)
# So many columns stand in an example of `select`.
_SHOWN = 3


class TableDescription:
    """All that a document says of one table: paths, and what they refer to."""

    def __init__(self, rights: Rights, settings: ApiSettings, *, has_profiles: bool = False) -> None:
        self._rights = rights
        self._resource = rights.resource
        self._settings = settings
        self._has_profiles = has_profiles
        self._name = component_name(self._resource.name)
        self._path = table_url("", self._resource)
        self._key_example = _key_example(self._resource)
        self.filters = filter_parameters(self._resource)
        self._filters = [*parameters("and", "or"), *parameters(*self.filters)]
        self._ambiguous = (300,) if self._resource.relations else ()

    @property
    def tag(self) -> JsonObject:
        """What the table holds, and why an operation that one might expect is not there."""
        said = [self._resource.comment or "A table without a comment.", *self._rights.missing()]
        return {"name": self._resource.name, "description": "\n\n".join(said)}

    @property
    def schemas(self) -> JsonObject:
        """By the name in `components`."""
        schemas: JsonObject = {f"{self._name}.row": row_schema(self._resource)} | filter_schemas(self._resource)
        if self._rights.may(Action.CREATE):
            schemas[f"{self._name}.insert"] = insert_schema(self._resource, self._written_by(Action.CREATE))
        if self._may_put:
            schemas[f"{self._name}.put"] = replacement_schema(self._resource, self._written_by(Action.CREATE))
        if self._rights.may(Action.UPDATE):
            schemas[f"{self._name}.change"] = change_schema(self._resource, self._written_by(Action.UPDATE))
        if not self._resource.settable and (self._rights.may(Action.CREATE) or self._rights.may(Action.UPDATE)):
            schemas[f"{self._name}.write"] = input_schema(self._resource)
        return schemas

    def _written_by(self, action: Action) -> JsonObject:
        """What may be written: the same for all actions, unless some of them may set some columns alone."""
        return input_schema(self._resource, action) if self._resource.settable else self._ref("write")

    @property
    def responses(self) -> JsonObject:
        """By the name in `components`."""
        row = self._ref("row")
        rows = rows_answer(
            "Rows: a page of them, with 206 a part of those that were counted.", row, *_OF_PAGES, is_exported=True
        )
        written = rows_answer("The rows as they are now, or were before a deletion.", row, *_OF_WRITTEN)
        return {
            f"{self._name}.rows": rows,
            f"{self._name}.written": written,
            f"{self._name}.inserted": inserted_answer(row, *_OF_WRITTEN),
            f"{self._name}.row": row_answer("The row.", row, "ETag", "Location", "Preference-Applied"),
        }

    @property
    def paths(self) -> JsonObject:
        """The table's, and that of its rows: a table without a key has none."""
        of_table = {
            "get": self._list() if self._rights.may(Action.READ) else None,
            "post": self._insert() if self._rights.may(Action.CREATE) else None,
            "patch": self._update() if self._rights.may(Action.UPDATE) else None,
            "delete": self._delete() if self._rights.may(Action.DELETE) else None,
        }
        paths = {self._path: _present(of_table)}
        if self._resource.key:
            of_row = _present(self._of_row())
            paths[f"{self._path}/{{key}}"] = {"parameters": [self._key()], **of_row} if of_row else {}
        return _present(paths)

    @property
    def _may_put(self) -> bool:
        actions = (Action.CREATE, Action.UPDATE)
        if unsettable(self._resource, self._resource.writable(), actions):
            return False
        return bool(self._resource.key) and self._rights.may(*actions)

    def _of_row(self) -> JsonObject:
        return {
            "get": self._get() if self._rights.may(Action.READ) else None,
            "put": self._replace() if self._may_put else None,
            "patch": self._change() if self._rights.may(Action.UPDATE) else None,
            "delete": self._remove() if self._rights.may(Action.DELETE) else None,
        }

    def _list(self) -> JsonObject:
        rows = answer(f"{self._name}.rows")
        having = ("having",) if self._settings.api_aggregates else ()
        form = () if "format" in self._resource.columns else ("format",)  # else it is a filter in the first place
        return self._operation(
            "list",
            f"Read rows of {self._resource.name}",
            "\n\n".join(["The rows that meet all filters, page by page.", self._tries(), self._embeds()]).strip(),
            [
                *parameters(
                    "select", "order", "limit", "offset", "cursor", *having, *form, "as_of", "PreferRead", "Range"
                ),
                *self._filters,
            ],
            {"200": rows, "206": rows} | problems(409, 410, 416),
        )

    def _insert(self) -> JsonObject:
        written = answer(f"{self._name}.written")
        return self._operation(
            "insert",
            f"Insert rows into {self._resource.name}",
            "One row, or an array of rows that all name the same columns: all of them are inserted, or none. "
            "A single one is told by its `Location` and `ETag`. The answer shows the rows to those who may read them; "
            "it is 200 where all of them were there already, and `Prefer: resolution` had them changed.\n\n"
            "CSV, NDJSON, Arrow streams and Parquet files are imported as they come, however long. Without `Prefer: "
            "return` the answer to an import says how many rows were written, and which were left out. CSV begins with "
            "a line of names; an unquoted `NULL` in it is null, and so is an empty field but in columns of texts, "
            'unless the media type says what is: `text/csv; null=""` for empty fields, `text/csv; null=NA` for R.',
            parameters("select", "columns", "on_conflict", "PreferInsert"),
            {"200": written, "201": answer(f"{self._name}.inserted"), "202": answer("ImportAccepted")}
            | problems(*_OF_WRITES, *_OF_BODIES, 408),
            rows_body(self._ref("insert"), insert_example(self._resource)),
        )

    def _update(self) -> JsonObject:
        return self._operation(
            "update",
            f"Change rows of {self._resource.name}",
            f"Makes the same change to every row that meets all filters. {self._unfiltered()}",
            [*parameters("select", "columns", "PreferWrite", *self._if_match()), *self._filters],
            self._written(*_OF_BODIES, 412),
            row_body(self._ref("change")),
        )

    def _delete(self) -> JsonObject:
        return self._operation(
            "delete",
            f"Delete rows of {self._resource.name}",
            f"Deletes every row that meets all filters. {self._hides()}{self._unfiltered()}",
            [*parameters("select", "PreferWrite", *self._if_match()), *self._filters],
            self._written(412),
        )

    def _get(self) -> JsonObject:
        return self._operation(
            "get",
            f"Read a row of {self._resource.name}",
            f"The row of that key, with related rows as in the list. {self._key_text()}",
            parameters("select", "as_of", "If-None-Match"),
            {"200": answer(f"{self._name}.row"), "304": answer("NotModified")} | problems(409, 410, 412),
        )

    def _replace(self) -> JsonObject:
        row = answer(f"{self._name}.row")
        return self._operation(
            "put",
            f"Put a row of {self._resource.name}",
            "Makes the row what the body says; columns that the body leaves out get their defaults. Inserts the row "
            "where there is none. With `If-Match` none is inserted, with `If-None-Match: *` none is replaced. "
            + self._key_text(),
            parameters("select", "PreferWrite", *self._if_match(), "If-None-Match-Any"),
            {"200": row, "201": row, "204": answer("RowWritten")} | problems(*_OF_WRITES, *_OF_BODIES, 412),
            row_body(self._ref("put")),
        )

    def _change(self) -> JsonObject:
        return self._operation(
            "change",
            f"Change a row of {self._resource.name}",
            f"Sets the columns that the body names, and leaves the others as they are. {self._key_text()}",
            parameters("select", "PreferWrite", *self._if_match()),
            {"200": answer(f"{self._name}.row"), "204": answer("RowWritten")} | problems(*_OF_WRITES, *_OF_BODIES, 412),
            row_body(self._ref("change")),
        )

    def _remove(self) -> JsonObject:
        return self._operation(
            "remove",
            f"Delete a row of {self._resource.name}",
            f"Deletes the row of that key. {self._hides()}{self._key_text()}",
            parameters("select", "PreferWrite", *self._if_match()),
            {"200": answer(f"{self._name}.row"), "204": answer("RowDeleted")} | problems(*_OF_WRITES, 412),
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
        profile = ("Accept-Profile" if verb in ("list", "get") else "Content-Profile",) if self._has_profiles else ()
        return {
            "tags": [self._resource.name],
            "operationId": f"{verb}_{self._name}",
            "summary": summary,
            "description": description,
            "parameters": [*taken, *parameters(*profile)],
            "responses": dict(sorted((answers | problems(*_OF_ALL, *self._ambiguous)).items())),
        } | ({"requestBody": body} if body is not None else {})

    def _written(self, *failed: int) -> JsonObject:
        rows = {"200": answer(f"{self._name}.written"), "204": answer("Written")}
        return rows | problems(*_OF_WRITES, *failed)

    def _if_match(self) -> tuple[str, ...]:
        """Rows of views have no version."""
        return ("If-Match",) if self._resource.abilities.has_version else ()

    def _hides(self) -> str:
        if not (self._resource.hides_deleted and DELETED_AT in self._resource.columns):
            return ""
        return f"It is hidden by its `{DELETED_AT}`, and removed where a filter names that column. "

    def _unfiltered(self) -> str:
        if self._settings.api_unfiltered_writes == "allow":
            return "Without a filter these are all rows of the table."
        return "Without a filter it is refused, unless `Prefer: max-affected` says how many rows it may touch."

    def _key(self) -> JsonObject:
        """The path's parameter. A key of several columns is one text."""
        example: object = self._key_example
        one = r'("[^"]*"|[^,"]+)'
        if len(self._resource.key) > 1:
            schema: JsonObject = {"type": "string", "pattern": f"^{','.join([one] * len(self._resource.key))}$"}
        else:
            column = self._resource.columns[self._resource.key[0]]
            schema = value_schema(column)
            example = example_value(column)
            schema = schema | {"minLength": 1} if schema.get("type") == "string" else schema
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
        columns = list(self._resource.columns.values())[:_SHOWN]
        if not columns:
            return "It has no columns."
        names = [written_name(column.name) for column in columns]
        query = f"select={','.join(names)}&order={names[-1]}.desc&limit=10"
        return f"Such as `{self._path}?{names[-1]}={example_filter(columns[-1])}&{query}`"

    def _embeds(self) -> str:
        if not self._resource.relations:
            return ""
        lines = "\n".join(f"- {_embed(way)}" for way in self._resource.relations)
        return f"`select` can embed related rows, such as `select=*,{self._resource.relations[0].name}(*)`:\n\n{lines}"

    def _ref(self, kind: str) -> JsonObject:
        return {"$ref": f"#/components/schemas/{self._name}.{kind}"}


_OF_READS = ("PreferRead", "Range")
_OF_PAGES = ("Content-Range", "Content-Disposition", "Link", "Preference-Applied")
_OF_WRITTEN = ("Content-Range", "Location", "ETag", "Preference-Applied")


def _key_example(resource: Resource) -> str:
    if not resource.key:
        return ""
    values = tuple(as_text(example_value(resource.columns[name])) for name in resource.key)
    return unquote(item_url("", resource, values).rpartition("/")[2])


def _embed(way: Relation) -> str:
    return f"`{way.name}(…)`: " + (f"an array of rows of `{way.target}`" if way.is_many else f"a row of `{way.target}`")


def _present(items: JsonObject) -> JsonObject:
    return {name: item for name, item in items.items() if item}
