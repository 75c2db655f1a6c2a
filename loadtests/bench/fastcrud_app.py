"""Flights by FastCRUD's router, as its documentation writes it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastcrud import crud_router
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from loadtests.bench.apps import POOL_SIZE
from loadtests.bench.orm import FlightCreate, FlightRead, FlightUpdate
from service.models.flights import Flight


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(
        url, pool_size=POOL_SIZE, max_overflow=0, connect_args={"server_settings": {"timezone": "UTC"}}
    )
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


app.include_router(
    crud_router(
        session=open_session,
        model=Flight,
        create_schema=FlightCreate,
        update_schema=FlightUpdate,
        select_schema=FlightRead,
        path="/flights",
    )
)
