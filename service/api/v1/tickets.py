"""Tickets for feeds."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from service.api.dependencies import Caller, Connected
from service.api.responses import responses
from service.auth.tickets import LIFETIME_SECONDS
from service.core.errors import AuthenticationFailed

router = APIRouter(prefix="/api/v1/-", tags=["Changes"])


class IssuedTicket(BaseModel):
    """A credential for one connection."""

    ticket: str = Field(description="Send as `?ticket=…` with a feed. Good once.")
    expires_in: int = Field(description="Seconds until it cannot be used any more.", examples=[LIFETIME_SECONDS])


@router.post(
    "/tickets",
    status_code=201,
    summary="A ticket for a feed",
    description="For browsers, whose `EventSource` and `WebSocket` cannot send headers: a credential for one feed, "
    "which stands for the caller.",
    responses=responses(AuthenticationFailed),
)
async def issue(principal: Caller, response: Response, runtime: Connected) -> IssuedTicket:
    response.headers["cache-control"] = "no-store"
    return IssuedTicket(ticket=await runtime.tickets.issue(principal), expires_in=LIFETIME_SECONDS)
