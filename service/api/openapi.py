"""`/openapi.json`: one document of both planes.

FastAPI describes the control plane. The table plane is described from the catalog, as far as the caller may know of it.
"""

import re
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from service.api.dependencies import TOKEN_PATH, identify
from service.api.problem import PROBLEM_TYPE
from service.api.responses import Problem, header_components, headers, problem_components, problems
from service.api.table_parameters import shared_parameters
from service.api.table_paths import TableDescription
from service.api.v1.paths import PREFIX
from service.catalog.catalog import Catalog
from service.core.settings import ApiSettings
from service.state import ServiceState

JsonObject = dict[str, Any]

_DESCRIPTION = """\
Every table is a list at `/api/v1/{table}` and a row at `/api/v1/{table}/{key}`. Lists take PostgREST's query language:

- `column=gte.10` filters, by `eq`, `neq`, `gt`, `gte`, `lt`, `lte`, `like`, `ilike`, `match`, `imatch`, `in` or `is`.
- `column=not.in.(a,b)` is the opposite of a filter. A column may come more than once; all filters must hold.
- `or=(a.lt.5,b.is.null)` holds where one of them does; `and` and `or` nest.
- `select=a,b,relation(c)` chooses columns, and embeds related rows.
- `order=a.desc.nullslast,b` sorts.
- `limit=100` sets the size of the page; the header `Link` leads to the next one.

`Prefer: count=exact` counts the rows. A row's `ETag`, sent in `If-Match`, keeps a write from undoing another one.

Every error is a problem document (RFC 9457) with a stable `code`. A method that is not listed here is answered 405.
Numbers that JSON lacks, such as `NaN`, come as texts.
"""
_TAGS = (
    ("Login", "Access tokens for users. Services send an API key in `X-API-Key` instead."),
    ("Tables", "What is served."),
    ("Probes", "For those who run the service."),
)
# The caller may be anonymous, as far as the settings and the grants let it.
_SECURITY: tuple[JsonObject, ...] = ({}, {"login": []}, {"apiKey": []})
_OF_CALLERS = (401, 429)
_MOST_KEPT = 16


def describe_api(app: FastAPI, state: ServiceState) -> None:
    """Serve the document at `/openapi.json`, and let `app.openapi()` return it."""
    documents = ApiDocuments(app, state.settings.api)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi_json(request: Request) -> Response:
        catalog = await _visible_catalog(request, state)
        body = orjson.dumps(documents.of(catalog, request.scope.get("root_path", "")))
        return Response(body, media_type="application/json", headers={"cache-control": "private, no-cache"})


async def _visible_catalog(request: Request, state: ServiceState) -> Catalog:
    """What the caller may do something with; nothing while the database is not reached."""
    runtime = state.runtime
    if runtime is None:
        return Catalog(())
    principal = await identify(request, state, runtime)
    await runtime.policy.refresh()
    return runtime.policy.visible(principal)


class ApiDocuments:
    """The documents, each made once for a set of tables: roles are few."""

    def __init__(self, app: FastAPI, settings: ApiSettings) -> None:
        self._app = app
        self._settings = settings
        self._made: dict[frozenset[tuple[str, int]], JsonObject] = {}

    def of(self, catalog: Catalog, root_path: str) -> JsonObject:
        """The document of these tables, for a service that is published under this prefix."""
        key = frozenset((item.name, id(item.table)) for item in catalog)
        if key not in self._made:
            if len(self._made) == _MOST_KEPT:
                self._made.clear()
            self._made[key] = build_document(control_plane(self._app), catalog, self._settings)
        made = self._made[key]
        components = made["components"] | {"securitySchemes": _security_schemes(root_path)}
        return made | {"servers": [{"url": root_path or "/"}], "components": components}


def build_document(control: JsonObject, catalog: Catalog, settings: ApiSettings) -> JsonObject:
    """The control plane's document with the tables of the catalog in it."""
    tables = [TableDescription(resource) for resource in catalog]
    tags: dict[str, JsonObject] = {}
    paths: JsonObject = {}
    schemas: JsonObject = {}
    taken = shared_parameters(settings) if tables else {}
    for table in tables:
        paths |= table.paths
        schemas |= table.schemas
        taken |= table.filters
        tags[table.tag["name"]] = table.tag
    tags |= {name: {"name": name, "description": text} for name, text in _TAGS}
    return control | {
        "paths": paths | control["paths"],
        "tags": list(tags.values()),
        "security": list(_SECURITY),
        "components": {
            "schemas": schemas | control["components"]["schemas"] | _problem_schemas(),
            "parameters": taken,
            "headers": header_components(),
            "responses": problem_components(),
        },
    }


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
    _, schemas = models_json_schema([(Problem, "validation")], ref_template="#/components/schemas/{model}")
    found: JsonObject = schemas["$defs"]
    return found


def _security_schemes(root_path: str) -> JsonObject:
    flow = {"tokenUrl": root_path + TOKEN_PATH, "scopes": {}}
    return {
        "login": {"type": "oauth2", "description": "Log in as a user.", "flows": {"password": flow}},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The key of a service."},
    }
