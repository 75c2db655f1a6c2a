"""Answers as OpenAPI describes them: problem documents with an example of each, and the headers of all."""

from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel, Field

from service.api.problem import PROBLEM_TYPE, STATUS_OF, problem, status_of
from service.core import errors
from service.core.errors import DatabaseUnavailable, FieldError, InvalidQuery, RowhouseError

JsonObject = dict[str, Any]


class ProblemField(BaseModel):
    """A part of the input, and what is wrong with it."""

    field: str = Field(description="Name of the column or parameter.")
    message: str = Field(description="What is wrong with it.")
    row: int | None = Field(None, description="Number of the row in the body, from 1, where there are several.")


class Problem(BaseModel):
    """An error (RFC 9457), with the members that PostgREST's clients read."""

    type: str = Field(description="A URN that ends in the code.", examples=["urn:rowhouse:problem:42703"])
    title: str = Field(description="The status in words.", examples=["Bad Request"])
    status: int = Field(description="The HTTP status.", examples=[400])
    detail: str = Field(description="What went wrong.", examples=["There is no operator 'equals'."])
    code: str = Field(description="Stable code: PostgREST's, PostgreSQL's SQLSTATE, or our own.", examples=["42703"])
    message: str = Field(description="The same as `detail`.", examples=["There is no operator 'equals'."])
    details: str | list[dict[str, str]] | None = Field(
        description="More about the cause. Of an ambiguous embedding, the ways that there are.", examples=[None]
    )
    hint: str | None = Field(description="What to do about it.", examples=["Perhaps you meant 'eq'."])
    request_id: str = Field(description="Finds the request in the log.", examples=["6d5c6a0f4c1f4b0f9d6a"])
    errors: list[ProblemField] | None = Field(None, description="The fields at fault.")
    rejected: list["RejectedRow"] | None = Field(None, description="With `too_many_rejected`: the rows up to it.")
    current: dict[str, Any] | None = Field(None, description="With 412: the row as it now stands.")


class RejectedRow(BaseModel):
    """A row of an import that was left out."""

    row: int = Field(description="Its number, from 1; of CSV the line of the file on which it ends.", examples=[7])
    column: str | None = Field(description="The column at fault, where it is known.", examples=["year"])
    reason: str = Field(description="Why it was left out.", examples=['invalid input syntax for type integer: "x"'])
    code: str = Field(description="As `code` of an error.", examples=["22P02"])
    value: str | None = Field(description="What stands there, or the beginning of it.", examples=["x"])


class ImportSummary(BaseModel):
    """What an import has done."""

    inserted: int = Field(description="Rows that are new.", examples=[336774])
    updated: int = Field(description="Rows that were there already, and changed.", examples=[0])
    skipped: int = Field(description="Rows that were there already, and stayed as they were.", examples=[0])
    deleted: int = Field(description="Rows that made room, with `resolution=replace`.", examples=[0])
    rejected: list[RejectedRow] = Field(description="Rows that were left out, with `max-rejected`.")
    kept: bool = Field(description="False with `tx=rollback`: nothing was kept.", examples=[True])


# What each error status means here, and one error that has it.
_MEANINGS: tuple[tuple[str, RowhouseError], ...] = (
    (
        "More than one relationship leads to a table that is to be embedded. The details list them.",
        errors.AmbiguousRelation(
            "More than one relationship leads there.",
            details=[
                {
                    "cardinality": "many-to-one",
                    "embedding": "orders with addresses",
                    "relationship": f"{name} using orders({name}_id) and addresses(id)",
                }
                for name in ("billing", "shipping")
            ],
            hint="Name one of them: addresses!billing(…), addresses!shipping(…).",
        ),
    ),
    (
        "The request cannot be understood, or a value is none that its column can have.",
        InvalidQuery("There is no operator 'equals'.", hint="Perhaps you meant 'eq'."),
    ),
    (
        "A credential is missing, wrong, expired or revoked.",
        errors.AuthenticationFailed("The API key is not valid."),
    ),
    ("The caller is known, and may not do this.", errors.Forbidden("Your role may not update rows of this table.")),
    (
        "There is no such table, row or job, or none that the caller may see.",
        errors.RowNotFound("There is no such row."),
    ),
    (
        "PostgreSQL cannot do this with these rows, or a function that is called by GET would write.",
        errors.MethodNotAllowed("PostgreSQL cannot insert rows of this view.", allow="GET, HEAD, OPTIONS"),
    ),
    (
        "`Accept` leaves out what is served, a schema is asked for that is not, or one object was asked for "
        "(`application/vnd.pgrst.object+json`) where there are more rows or none.",
        errors.NotAcceptable("None of these media types are available: text/html"),
    ),
    (
        "A unique or foreign key stands in the way; or, of a feed, the table's changes are not logged (`not_tracked`); "
        "of a job, it is in another state (`job_not_dead`, `job_not_queued`, `job_unfinished`).",
        errors.Conflict(
            "A row with this key is there already.",
            details="Key (id)=(1) already exists.",
            code="23505",
            fields=[FieldError("id", "stands in the way")],
        ),
    ),
    (
        "Some of the changes since this cursor are gone, by the log's retention or a restored database.",
        errors.MustRefetch(
            "Some of the changes since this cursor are gone.",
            hint="Read the rows again: snapshot=true, without a cursor.",
        ),
    ),
    (
        "Nothing more of the body came for a minute.",
        errors.LimitExceeded("Nothing more of the body came.", code="body_stalled"),
    ),
    (
        "The row is not in the version that `If-Match` names. `current` is the row as it now stands.",
        errors.PreconditionFailed(
            "The row is no longer what it was when its ETag was read.", current=b'{"id":1}', version="bce36e78.758"
        ),
    ),
    ("The body is too large.", errors.LimitExceeded("The body is larger than 10485760 bytes.", code="body_too_large")),
    (
        "Path and query string are too long.",
        errors.LimitExceeded("Path and query string are too long.", code="url_too_long"),
    ),
    (
        "The body is said to be what is not read here, or to be packed.",
        errors.UnsupportedMediaType("The body must be JSON.", hint="Send Content-Type: application/json."),
    ),
    (
        "The page begins behind the last row. Told only where the rows are counted.",
        errors.RangeNotSatisfiable(
            "Requested range not satisfiable", details="An offset of 99 was requested, but there are only 42 rows."
        ),
    ),
    (
        "The row violates a check of the table, or the statement took too long.",
        errors.LimitExceeded("The statement took longer than the service allows and was stopped.", code="57014"),
    ),
    (
        "Too many requests in a minute.",
        errors.TooManyRequests(
            "More than 6000 requests a minute.",
            retry_after=12,
            headers={"RateLimit-Policy": '"default";q=6000;w=60', "RateLimit": '"default";r=0;t=12'},
        ),
    ),
    (
        "The database cannot serve now. Nothing was written, unless the code is `outcome_unknown`.",
        DatabaseUnavailable("The database cannot be reached."),
    ),
)
_EXAMPLE_ID = "6d5c6a0f4c1f4b0f9d6a3a52c7b8e1d0"

HEADERS: JsonObject = {
    "X-Request-ID": "Finds the request in the log. As the caller sent it, or made up here.",
    "ETag": "Version of the row, for `If-Match` and `If-None-Match`.",
    "Content-Range": "`first-last/total` of the rows; `*` where there are none or they were not counted.",
    "Link": '`rel="next"`: the next page (RFC 8288).',
    "Content-Disposition": "The name of the file, where rows come as one.",
    "Location": "Path of the new row.",
    "Preference-Applied": "Which of the preferences in `Prefer` were honoured.",
    "Content-Profile": "The schema, where several are served.",
    "Allow": "The methods that are taken.",
    "Retry-After": "Seconds to wait before the next try.",
    "WWW-Authenticate": "How to authenticate.",
    "RateLimit": "What is left of the limit, and the seconds until it is whole again.",
    "RateLimit-Policy": "The limit: requests, and the seconds in which they are counted.",
}
_ALWAYS = ("X-Request-ID",)


def header_components() -> JsonObject:
    """All headers of answers, by name."""
    return {
        name: {"description": text, "schema": {"type": "string"}, "required": name in _ALWAYS}
        for name, text in HEADERS.items()
    }


def headers(*names: str) -> JsonObject:
    """Those headers, and the ones that every answer has."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, *_ALWAYS)}


def done_components() -> JsonObject:
    """Answers without a body, by name."""
    of_rows = headers("Content-Range", "Preference-Applied")
    return {
        "Written": {"description": "Written. The rows are not shown.", "headers": of_rows},
        "RowWritten": {
            "description": "Written. The row is not shown.",
            "headers": headers("ETag", "Preference-Applied"),
        },
        "RowDeleted": {"description": "Deleted.", "headers": headers("Preference-Applied")},
        "ImportAccepted": {
            "description": "A worker will import the body (`Prefer: respond-async`). `Location` is the job's.",
            "headers": headers("Location", "Preference-Applied"),
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {"id": {"type": "string", "format": "uuid", "description": "The job's id."}},
                        "required": ["id"],
                    }
                }
            },
        },
        "NotModified": {"description": "The row is as `If-None-Match` says.", "headers": headers("ETag")},
        "Called": {"description": "Called. The function returns nothing.", "headers": headers("Preference-Applied")},
    }


def answer(name: str) -> JsonObject:
    """An answer by its name in `components`."""
    return {"$ref": f"#/components/responses/{name}"}


def problem_components() -> JsonObject:
    """The answer to each error status, by the status."""
    return {str(status_of(error).value): _answer(text, error) for text, error in _MEANINGS}


def _answer(text: str, error: RowhouseError) -> JsonObject:
    _, sent, body = problem(error, _EXAMPLE_ID)
    known = {name.lower(): name for name in HEADERS}
    content = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}, "example": orjson.loads(body)}
    return {
        "description": text,
        "headers": headers(*(known[name.lower()] for name in sent if name.lower() in known)),
        "content": {PROBLEM_TYPE: content},
    }


def problems(*statuses: int) -> JsonObject:
    """Those error answers, by reference."""
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}


def describe(status: HTTPStatus) -> JsonObject:
    """The answer of an error status, for a handler of the control plane."""
    return {
        "description": status.phrase,
        "content": {PROBLEM_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
    }


def responses(*kinds: type[RowhouseError]) -> dict[int | str, dict[str, Any]]:
    """The error answers of a handler. Each may also find the input wrong or the database gone."""
    statuses = {STATUS_OF[kind] for kind in (*kinds, InvalidQuery, DatabaseUnavailable)}
    return {status.value: describe(status) for status in sorted(statuses)}
