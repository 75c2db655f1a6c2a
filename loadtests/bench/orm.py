"""Flights as a good template writes them: FastAPI, a session by dependency, SQLAlchemy's ORM, Pydantic both ways."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import selectinload

from loadtests.bench.apps import POOL_SIZE
from service.models.flights import Flight


class FlightCreate(BaseModel):
    year: int
    month: int
    day: int
    dep_time: int | None = None
    sched_dep_time: int
    dep_delay: int | None = None
    arr_time: int | None = None
    sched_arr_time: int
    arr_delay: int | None = None
    carrier: str
    flight: int
    tailnum: str | None = None
    origin: str
    dest: str
    air_time: int | None = None
    distance: int
    hour: int
    minute: int
    time_hour: datetime


class FlightRead(FlightCreate):
    model_config = ConfigDict(from_attributes=True)

    id: int


class AirlineRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    carrier: str
    name: str


class PlaneRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    tailnum: str
    year: int | None
    type: str
    manufacturer: str
    model: str
    engines: int
    seats: int
    speed: int | None
    engine: str


class DetailedFlight(FlightRead):
    airline: AirlineRead
    plane: PlaneRead | None


class FlightUpdate(BaseModel):
    dep_time: int | None = None
    dep_delay: int | None = None
    arr_time: int | None = None
    arr_delay: int | None = None
    tailnum: str | None = None
    air_time: int | None = None


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


Session = Annotated[AsyncSession, Depends(open_session)]


@app.get("/flights/detailed", response_model=list[DetailedFlight])
async def read_detailed_flights(
    session: Session, after: int = 0, limit: Annotated[int, Query(ge=1, le=10_000)] = 100
) -> Sequence[Flight]:
    query = select(Flight).where(Flight.id > after).order_by(Flight.id).limit(limit)
    found = await session.scalars(query.options(selectinload(Flight.airline), selectinload(Flight.plane)))
    return found.all()


@app.get("/flights/{flight_id}", response_model=FlightRead)
async def read_flight(flight_id: int, session: Session) -> Flight:
    return await _find(session, flight_id)


@app.get("/flights", response_model=list[FlightRead])
async def read_flights(
    session: Session, after: int = 0, limit: Annotated[int, Query(ge=1, le=10_000)] = 100
) -> Sequence[Flight]:
    found = await session.scalars(select(Flight).where(Flight.id > after).order_by(Flight.id).limit(limit))
    return found.all()


@app.post("/flights", response_model=list[FlightRead], status_code=201)
async def create_flight(body: FlightCreate, session: Session) -> Sequence[Flight]:
    # No refresh: the key comes back with the insert, and the database computes nothing else.
    flight = Flight(**body.model_dump())
    session.add(flight)
    await session.commit()
    return [flight]


@app.patch("/flights/{flight_id}", response_model=FlightRead)
async def update_flight(flight_id: int, body: FlightUpdate, session: Session) -> Flight:
    flight = await _find(session, flight_id)
    for name, value in body.model_dump(exclude_unset=True).items():
        setattr(flight, name, value)
    await session.commit()
    return flight


async def _find(session: AsyncSession, flight_id: int) -> Flight:
    flight = await session.get(Flight, flight_id)
    if flight is None:
        raise HTTPException(404, "There is no such flight.")
    return flight
