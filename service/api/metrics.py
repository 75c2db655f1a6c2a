"""`/metrics`, for Prometheus."""

import asyncio

from fastapi import APIRouter, Request, Response

from service.api.dependencies import State
from service.observability.metrics import scraped

router = APIRouter()


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, state: State) -> Response:
    state.metrics.sample()
    body, content_type = await asyncio.to_thread(scraped, state.metrics, request.headers.get("accept", ""))
    return Response(body, headers={"content-type": content_type})
