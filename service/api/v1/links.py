"""Signed links to exports."""

from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, Field

from service.api.dependencies import Connected, KnownCaller, State
from service.api.responses import responses
from service.api.v1.export import without_format
from service.api.v1.link import target_of
from service.api.v1.paths import parse_path
from service.core.errors import AuthenticationFailed, Forbidden, InvalidBody, TableNotFound
from service.core.types import Action
from service.query.parse.parameters import Bounds
from service.query.parse.request import parse_export

_NO_TABLE = "`url` must be that of a table, such as /api/v1/airlines?format=parquet."
# What stands in a URL as it is, or was encoded before (RFC 3986, appendix A).
_WRITTEN = "%&=+!$'()*,;:@/?-._~"

router = APIRouter(prefix="/api/v1/-", tags=["Tables"])


class LinkRequest(BaseModel):
    """A read of a table."""

    url: str = Field(
        max_length=16_384,
        description="URL or path of a table, with its query string.",
        examples=["/api/v1/airlines?format=parquet"],
    )


class SignedLink(BaseModel):
    """A URL that needs no credential."""

    url: str = Field(description="Reads the table as the caller, from any tool.")
    expires_in: int = Field(description="Seconds until it cannot be used any more.")


@router.post(
    "/links",
    status_code=201,
    summary="A signed link to a read",
    description="For tools that cannot send headers, such as DuckDB and polars by URL: good for this one read, for "
    "a few minutes. The caller's rights are looked at when it is used. Of Parquet, a link always reads the same file.",
    responses=responses(AuthenticationFailed, Forbidden, TableNotFound, InvalidBody),
)
async def issue_link(
    request: Request,
    asked: Annotated[LinkRequest, Body()],
    principal: KnownCaller,
    response: Response,
    runtime: Connected,
    state: State,
) -> SignedLink:
    prefix = request.scope.get("root_path", "")
    path, query = _parts(asked.url)
    path = path.removeprefix(prefix)
    table = parse_path(path.encode())
    if table is None or table.key is not None:
        raise InvalidBody(_NO_TABLE)
    await runtime.policy.refresh()
    resource = runtime.policy.resource(principal, table.table)
    runtime.policy.rows(principal, resource, Action.READ)
    settings = state.settings.api
    bounds = Bounds(settings.api_max_rows, settings.api_max_depth, settings.api_aggregates)
    plain, _ = without_format(query.encode())
    parse_export(runtime.policy.visible(principal), resource, plain, bounds)
    token = runtime.links.issue(principal, target_of(table.table, query.encode()))
    response.headers["cache-control"] = "no-store"
    url = request.base_url.replace(path=prefix + path, query=f"{query}&link={token}".removeprefix("&"))
    return SignedLink(url=str(url), expires_in=runtime.links.lifetime_seconds)


def _parts(url: str) -> tuple[str, str]:
    """Path and query string, of signs that a URL may have.

    Raises:
        InvalidBody: it is no URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidBody(_NO_TABLE) from None
    return quote(parts.path, safe=_WRITTEN), quote(parts.query, safe=_WRITTEN)
