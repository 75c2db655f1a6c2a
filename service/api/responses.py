"""Problem documents as OpenAPI describes them."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field

from service.api.problem import PROBLEM_TYPE, STATUS_OF
from service.core.errors import DatabaseUnavailable, InvalidQuery, RowhouseError


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
    detail: str = Field(description="What went wrong.", examples=["Table 'flights' has no column 'dset'."])
    code: str = Field(description="Stable code: PostgREST's, PostgreSQL's SQLSTATE, or our own.", examples=["42703"])
    message: str = Field(description="The same as `detail`.", examples=["Table 'flights' has no column 'dset'."])
    details: str | None = Field(description="More about the cause.", examples=[None])
    hint: str | None = Field(description="What to do about it.", examples=["Perhaps you meant 'dest'."])
    request_id: str = Field(description="Finds the request in the log.", examples=["6d5c6a0f4c1f4b0f9d6a"])
    errors: list[ProblemField] | None = Field(None, description="The fields at fault.")
    current: dict[str, Any] | None = Field(None, description="With 412: the row as it now stands.")


def describe(status: HTTPStatus) -> dict[str, Any]:
    """The answer of an error status, for OpenAPI."""
    return {
        "description": status.description or status.phrase,
        "content": {PROBLEM_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
    }


def responses(*errors: type[RowhouseError]) -> dict[int | str, dict[str, Any]]:
    """The error answers of a handler. Each may also find the input wrong or the database gone."""
    statuses = {STATUS_OF[error] for error in (*errors, InvalidQuery, DatabaseUnavailable)}
    return {status.value: describe(status) for status in sorted(statuses)}
