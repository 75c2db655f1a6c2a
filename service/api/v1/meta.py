"""What the API serves."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.api.dependencies import Caller, Connected
from service.api.responses import responses
from service.core.errors import AuthenticationFailed
from service.core.types import OF_TABLES, Action

router = APIRouter(prefix="/api/v1", tags=["Tables"])


class TableInfo(BaseModel):
    """A table, and what the caller may do with it."""

    name: str = Field(description="Name of the table, as in its path.", examples=["measurements"])
    comment: str | None = Field(description="What it holds.")
    key: list[str] = Field(description="Columns of its key, in the order in which a path names them.")
    actions: list[Action] = Field(description="What the caller may do.")


@router.get(
    "/-/tables",
    summary="Tables",
    description="The tables that the caller may do something with.",
    responses=responses(AuthenticationFailed),
)
async def tables(principal: Caller, runtime: Connected) -> list[TableInfo]:
    await runtime.policy.refresh()
    infos = (
        TableInfo(
            name=resource.name,
            comment=resource.comment,
            key=list(resource.key),
            actions=[action for action in OF_TABLES if runtime.policy.may(principal, resource, action)],
        )
        for resource in runtime.policy.visible(principal)
    )
    return list(infos)
