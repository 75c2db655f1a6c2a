"""CSV into a table: a preview, the columns matched, a dry run, and the import, which is the API's.

The file stays in the browser, which sends its beginning for the preview, and all of it for each run.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from service.admin.csv_file import CHARSETS, DELIMITERS, Beginning, read_beginning, recast
from service.admin.filters import quoted_name
from service.admin.forms import writable
from service.admin.plane import header, loaded
from service.admin.reading import encode
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.paths import table_url
from service.catalog.resource import Resource
from service.core.errors import Forbidden, InvalidQuery, JobNotFound, RowhouseError, TooManyRejected
from service.core.types import Action, Role
from service.crud import jobs

_MODES = {
    "insert": ("Add rows; one that is there already is a fault", ""),
    "skip": ("Add rows; leave those that are there already as they are", "resolution=ignore-duplicates"),
    "upsert": ("Add rows, and change those that are there already", "resolution=merge-duplicates"),
    "replace": ("Replace the whole table: all its rows go first", "resolution=replace"),
}
_LISTED = 1000
# No other: a form would be read whole, before it is known who sent it.
_ADDRESS = re.compile(r"/admin/[^/]+/import")
_NUMBER = re.compile(r"[0-9]{1,15}")
_OF_JOB = ("done", "dead", "cancelled")


def is_import(scope: Scope) -> bool:
    """Whether a request is an import, whose body is as long as imports may be, and is streamed."""
    path = str(scope.get("path", "")).removeprefix(str(scope.get("root_path", "")).rstrip("/"))
    return scope.get("method") == "POST" and _ADDRESS.fullmatch(path) is not None


async def show(visit: Visit) -> Response:
    """Choose a file."""
    resource = visit.resource
    _require(visit, resource)
    able = {"insert": True, "skip": bool(resource.key or resource.unique)}
    able["upsert"] = able["skip"] and visit.may(resource, Action.UPDATE)
    able["replace"] = visit.may(resource, Action.DELETE)
    keys = dict.fromkeys(([resource.key] if resource.key else []) + list(resource.unique.values()))
    return await visit.page(
        "import.html",
        title=f"Import into {resource.name}",
        resource=resource,
        modes=[(name, words) for name, (words, _) in _MODES.items() if able[name]],
        keys=[(json.dumps(key), ", ".join(key)) for key in keys],
        fields=writable(resource),
        most_bytes=visit.state.settings.imports.import_max_bytes,
        most_rejected=min(_LISTED, visit.state.settings.imports.import_max_rejected),
        charsets=CHARSETS,
    )


async def preview(visit: Visit) -> Response:
    """How the file begins, and which column each of its own is for, by its name."""
    resource = visit.resource
    _require(visit, resource)
    is_whole = visit.request.query_params.get("whole") == "1"
    begun = read_beginning(await visit.request.body(), is_whole=is_whole)
    known = {_plain(one.name): one.name for one in reversed(writable(resource))}
    fixed = {_plain(name) for name, column in resource.columns.items() if not column.is_writable}
    return JSONResponse(
        {
            "charset": begun.charset,
            "delimiter": begun.delimiter,
            "skip": begun.skip,
            "columns": [
                {"name": name, "matched": known.get(_plain(name)), "is_fixed": _plain(name) in fixed}
                for name in begun.names
            ],
            "rows": begun.rows,
        }
    )


async def run(visit: Visit) -> Response:
    """Import the body, or find out what would become of it."""
    resource = visit.resource
    _require(visit, resource)
    given = visit.request.query_params
    matched, begun = _matched(resource, given), _beginning(given)
    names = [name or f" {number}" for number, name in enumerate(matched)]
    query = [("columns", ",".join(quoted_name(name) for name in matched if name))]
    if conflict := _names(given.get("conflict") or "[]"):
        query.append(("on_conflict", ",".join(quoted_name(name) for name in conflict)))
    is_dry, is_job = given.get("dry") == "1", given.get("job") == "1"
    headers = {
        "content-type": "text/csv; null=" if given.get("empty") == "null" else "text/csv",
        "prefer": ", ".join(_preferences(visit, given, is_dry=is_dry, is_job=is_job)),
    }
    try:
        body = recast(visit.request.receive, names, begun)
        answer = await visit.plane.stream("POST", table_url("", resource), encode(query), body, headers)
    except RowhouseError as error:
        return JSONResponse(_told(error), status_code=status_of(error))
    if is_job:
        return JSONResponse({"job": loaded(answer.body)})
    written = (header(answer, b"content-range") or "").partition("/")[2]
    summary = loaded(answer.body) or {"written": int(written or 0), "rejected": [], "kept": True}
    return JSONResponse({"summary": summary})


async def job(visit: Visit) -> Response:
    """How far an import has come that a worker does."""
    try:
        job_id = UUID(visit.request.query_params.get("id", ""))
    except ValueError:
        raise JobNotFound("There is no such import.") from None
    async with visit.runtime.unit_of_work.begin() as session:
        found = await jobs.find(session, job_id)
    principal = visit.session.principal
    if found is None or not (found.actor == principal.actor or principal.role is Role.ADMIN):
        raise JobNotFound("There is no such import.")
    is_done = found.state in _OF_JOB
    answer: dict[str, Any] = {"state": found.state, "progress": found.progress, "is_done": is_done}
    if found.state == "done":
        answer["summary"] = found.result
    elif is_done:
        told: Mapping[str, Any] = found.result if isinstance(found.result, dict) else {}
        rejected = told.get("rejected") or [
            {"row": one["row"], "column": one["field"], "reason": one["message"], "value": None}
            for one in told.get("errors") or ()
        ]
        answer |= {"message": found.error or "The import was cancelled.", "rejected": rejected}
    return JSONResponse(answer)


def _require(visit: Visit, resource: Resource) -> None:
    if not visit.may(resource, Action.CREATE):
        raise Forbidden(f"You may not add rows to {resource.name!r}.")


def _preferences(visit: Visit, given: Mapping[str, str], *, is_dry: bool, is_job: bool) -> list[str]:
    mode = given.get("mode", "insert")
    if mode not in _MODES:
        raise InvalidQuery(f"There is no way to import called {mode!r}.")
    most = given.get("most", "0")
    if not _NUMBER.fullmatch(most):
        raise InvalidQuery("How many rows may be left out is a whole number.")
    if is_dry:  # all that is wrong, not the first of it
        most = str(min(_LISTED, visit.state.settings.imports.import_max_rejected))
    preferences = [
        "return=minimal",
        _MODES[mode][1],
        "tx=rollback" if is_dry else "",
        "respond-async" if is_job else "",
    ]
    if is_dry or int(most):
        preferences.append(f"max-rejected={most}")
    else:
        preferences.append("count=exact")
    return [one for one in preferences if one]


def _beginning(given: Mapping[str, str]) -> Beginning:
    """Raises: InvalidQuery, for what no preview says."""
    charset, delimiter, skip = given.get("charset", ""), given.get("delimiter", ""), given.get("skip", "")
    if charset not in CHARSETS or delimiter not in DELIMITERS or not _NUMBER.fullmatch(skip):
        raise InvalidQuery("Choose the file again.")
    return Beginning(charset, delimiter, [], [], int(skip))


def _matched(resource: Resource, given: Mapping[str, str]) -> list[str]:
    """The column that each of the file's is for; empty where it is left out.

    Raises:
        InvalidQuery: one is no column that can be written, or is named twice.
    """
    names = _names(given.get("columns", ""))
    taken = [name for name in names if name]
    known = {one.name for one in writable(resource)}
    if unknown := [name for name in taken if name not in known]:
        raise InvalidQuery(f"{unknown[0]!r} is no column that can be written.")
    if twice := next((name for name in taken if taken.count(name) > 1), None):
        raise InvalidQuery(f"Two columns of the file are for {twice!r}.", hint="Leave one of them out.")
    if not taken:
        raise InvalidQuery("No column of the file is for one of the table.")
    return names


def _names(text: str) -> list[str]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidQuery("The columns cannot be read.")
    return names


def _told(error: RowhouseError) -> dict[str, Any]:
    if isinstance(error, TooManyRejected):
        rejected = [
            {"row": one.row, "column": one.column, "reason": one.reason, "value": one.value} for one in error.rejected
        ]
    else:
        rejected = [
            {"row": one.row, "column": one.field or None, "reason": one.message, "value": None}
            for one in error.fields
            if one.row is not None
        ]
    return {"message": error.message, "hint": error.hint, "rejected": rejected}


def _plain(name: str) -> str:
    """A name as people take it for the same: in any case, with blanks or underscores."""
    return "".join(character for character in name.casefold() if character.isalnum()) or name
