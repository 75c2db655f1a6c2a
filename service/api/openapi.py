"""`/openapi.json`: one document of both planes.

FastAPI describes the control plane. The table plane is described from the catalog, as far as the caller may know of it.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from service.api.dependencies import TOKEN_PATH, identify
from service.api.feed_paths import TAG as FEED_TAG
from service.api.feed_paths import TAG_TEXT, feed_parameters, feed_paths, feed_responses, feed_schemas
from service.api.function_paths import TAG, FunctionDescription, is_callable
from service.api.history_paths import TAG as HISTORY_TAG
from service.api.history_paths import TAG_TEXT as HISTORY_TEXT
from service.api.history_paths import history_parameters, history_paths, history_responses, history_schemas
from service.api.problem import PROBLEM_TYPE
from service.api.responses import (
    ImportSummary,
    Problem,
    done_components,
    header_components,
    headers,
    problem_components,
    problems,
)
from service.api.rights import Rights
from service.api.shared_parameters import shared_parameters
from service.api.table_paths import TableDescription
from service.api.v1.paths import PREFIX
from service.auth.policy import FUNCTIONS
from service.catalog.catalog import Catalog
from service.catalog.function import Function
from service.catalog.resource import Resource
from service.core.settings import ApiSettings
from service.core.types import OF_TABLES, Action
from service.state import ServiceState

JsonObject = dict[str, Any]
May = Callable[[Resource, Action], bool]

_DESCRIPTION = """\
Every table is a list at `/api/v1/{table}` and a row at `/api/v1/{table}/{key}`; a function is at `/api/v1/rpc/{name}`.
Lists take PostgREST's query language:

- `column=gte.10` filters, by `eq`, `neq`, `gt`, `gte`, `lt`, `lte`, `like`, `ilike`, `match`, `imatch`, `in`, `is` or
  `isdistinct`. `column=not.in.(a,b)` is the opposite. A column may come more than once; all filters must hold.
- `column=eq(any).{1,2}` holds for any of the values, `like(all).{a*,*b}` for all of them.
- `column=fts.word` searches texts, as do `plfts`, `phfts` and `wfts`; `fts(english).word` says in which language.
- `column=cs.{1,2}` is of arrays, ranges and JSON that contain it; `cd` of those contained in it, `ov` of those that
  overlap. Ranges also have `sl`, `sr`, `nxr`, `nxl` and `adj`.
- `column->a->>0=eq.x` looks into JSON, arrays and composite types.
- `or=(a.lt.5,b.is.null)` holds where one of them does; `and` and `or` nest.
- `select=a,b,relation(c)` chooses columns, and embeds related rows; `relation.column=eq.1` filters these.
- `order=a.desc.nullslast,b` sorts.
- `limit=100` sets the size of the page; the header `Link` leads to the next one. `Range: 0-9` does so, too.

`Prefer: count=exact` counts the rows. A row's `ETag`, sent in `If-Match`, keeps a write from undoing another one.
`Accept` chooses `application/json`, `text/csv`, one object (`application/vnd.pgrst.object+json`), or rows without
what is null (`application/vnd.pgrst.array+json;nulls=stripped`). Whole tables come as CSV, NDJSON, columns, Arrow or
Parquet by `Accept` or `format=`. Bodies are JSON, CSV or forms.

Every error is a problem document (RFC 9457) with a stable `code`. What is not listed here, you may not do, or
PostgreSQL cannot. Numbers that JSON lacks, such as `NaN`, come as texts. `/openapi.json?table={name}` is the document
of one table.
"""
_TAGS = (
    ("Login", "Access tokens for users. Services send an API key in `X-API-Key` instead."),
    ("Tables", "What is served."),
    (FEED_TAG, TAG_TEXT),
    (HISTORY_TAG, HISTORY_TEXT),
    ("Jobs", "What runs in the background, for administrators."),
    ("Probes", "For those who run the service."),
)
# The caller may be anonymous, as far as the settings and the grants let it.
_SECURITY: tuple[JsonObject, ...] = ({}, {"login": []}, {"apiKey": []})
_OF_CALLERS = (401, 429)
_MOST_KEPT = 16


@dataclass(frozen=True, slots=True)
class Described:
    """What is to be described: tables with the rights to them, and functions by name.

    `listed` are the names of all that the caller may use, where this is a part of it.
    """

    tables: tuple[Rights, ...] = ()
    functions: tuple[tuple[Function, ...], ...] = ()
    schemas: tuple[str, ...] = ("public",)
    listed: tuple[str, ...] | None = None

    @classmethod
    def of(cls, catalog: Catalog, may: May, names: Collection[str] | None = None) -> "Described":
        """What the caller may do; with `names` of that alone which they name, functions as `rpc/{name}`.

        Names of what is hidden, or is not there, add nothing.
        """
        calls: dict[str, list[Function]] = defaultdict(list)
        for function in catalog.all_functions():
            if is_callable(function):
                calls[FUNCTIONS + function.name].append(function)
        return cls(
            tuple(
                Rights(item, frozenset(action for action in OF_TABLES if may(item, action)))
                for item in catalog
                if names is None or item.name in names
            ),
            tuple(tuple(overloads) for name, overloads in calls.items() if names is None or name in names),
            catalog.schemas,
            None if names is None else (*(item.name for item in catalog), *calls),
        )


def describe_api(app: FastAPI, state: ServiceState) -> None:
    """Serve the document at `/openapi.json`; with `?table=`, of that table alone."""
    documents = ApiDocuments(app, state.settings.api)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi_json(request: Request, table: Annotated[list[str] | None, Query()] = None) -> Response:
        described = await _described(request, state, table)
        # Hundreds of tables take a while: other requests go on meanwhile.
        body = await asyncio.to_thread(documents.of, described, request.scope.get("root_path", ""))
        return Response(body, media_type="application/json", headers={"cache-control": "private, no-cache"})


async def _described(request: Request, state: ServiceState, names: Collection[str] | None) -> Described:
    """What the caller may do something with; nothing while the database is not reached."""
    runtime = state.runtime
    if runtime is None:
        return Described()
    principal = await identify(request, state, runtime)
    await runtime.policy.refresh()
    catalog = runtime.policy.visible(principal)
    return Described.of(catalog, partial(runtime.policy.may, principal), names)


class ApiDocuments:
    """The documents as they are sent, each made once for what it describes: roles are few."""

    def __init__(self, app: FastAPI, settings: ApiSettings) -> None:
        self._app = app
        self._settings = settings
        self._made: dict[tuple[Described, str], bytes] = {}

    def of(self, described: Described, root_path: str) -> bytes:
        """The document, for a service that is published under this prefix."""
        key = (described, root_path)
        made = self._made.get(key)
        if made is None:
            document = build_document(control_plane(self._app), described, self._settings)
            components = document["components"] | {"securitySchemes": _security_schemes(root_path)}
            whole = document | {"servers": [{"url": root_path or "/"}], "components": components}
            made = orjson.dumps(whole, option=orjson.OPT_NON_STR_KEYS)
            if len(self._made) >= _MOST_KEPT:
                self._made.clear()
            self._made[key] = made
        return made


def build_document(control: JsonObject, described: Described, settings: ApiSettings) -> JsonObject:
    """The control plane's document with the tables and functions in it."""
    has_profiles = len(described.schemas) > 1
    tables = [TableDescription(rights, settings, has_profiles=has_profiles) for rights in described.tables]
    functions = [FunctionDescription(item, settings, has_profiles=has_profiles) for item in described.functions]
    paths: JsonObject = {}
    schemas: JsonObject = {}
    answers: JsonObject = {}
    taken = shared_parameters(settings, described.schemas) if tables or functions else {}
    for table in tables:
        paths |= table.paths
        schemas |= table.schemas
        answers |= table.responses
        taken |= table.filters
    if described.tables:
        example = described.tables[0].resource.name
        paths |= feed_paths(example) | history_paths(example)
        schemas |= feed_schemas() | history_schemas()
        answers |= feed_responses() | history_responses()
        taken |= feed_parameters() | history_parameters()
    for function in functions:
        paths |= function.paths
        schemas |= function.schemas
    return (
        control
        | {
            "paths": paths | control["paths"],
            "tags": _tags(tables, has_functions=bool(functions)),
            "security": list(_SECURITY),
            "components": {
                "schemas": schemas | control["components"]["schemas"] | _problem_schemas(),
                "parameters": taken,
                "headers": header_components(),
                "responses": answers | done_components() | problem_components(),
            },
        }
        | ({} if described.listed is None else {"x-tables": list(described.listed)})
    )


def _tags(tables: Iterable[TableDescription], *, has_functions: bool) -> list[JsonObject]:
    tags = {table.tag["name"]: table.tag for table in tables}
    others = ((TAG, "What the database computes."), *_TAGS) if has_functions else _TAGS
    return list((tags | {name: {"name": name, "description": text} for name, text in others}).values())


def control_plane(app: FastAPI) -> JsonObject:
    """What FastAPI says of its routes, with errors as they are answered here."""
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _amend(operation, path, method)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document


def _amend(operation: JsonObject, path: str, method: str) -> None:
    operation["operationId"] = operation["operationId"].removesuffix(re.sub(r"\W", "_", path) + f"_{method}")
    answers: JsonObject = operation["responses"]
    # FastAPI's own validation errors are answered as problems, with 400.
    if PROBLEM_TYPE not in answers.get("422", {}).get("content", {}):
        answers.pop("422", None)
    failed = {int(status) for status, answer in answers.items() if PROBLEM_TYPE in answer.get("content", {})}
    if path.startswith(PREFIX):
        failed.add(414)
    if "requestBody" in operation:
        failed.add(413)
    if "security" in operation:
        operation["security"] = list(_SECURITY)
        failed.update(_OF_CALLERS)
    else:
        operation["security"] = []
    for answer in answers.values():
        answer["headers"] = headers()
    operation["responses"] = answers | problems(*failed)


def _problem_schemas() -> JsonObject:
    _, schemas = models_json_schema(
        [(Problem, "validation"), (ImportSummary, "validation")], ref_template="#/components/schemas/{model}"
    )
    found: JsonObject = schemas["$defs"]
    return found


def _security_schemes(root_path: str) -> JsonObject:
    flow = {"tokenUrl": root_path + TOKEN_PATH, "scopes": {}}
    return {
        "login": {"type": "oauth2", "description": "Log in as a user.", "flows": {"password": flow}},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The key of a service."},
    }
