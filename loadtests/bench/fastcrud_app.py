"""Flights by FastCRUD's router, as its documentation writes it."""

from fastapi import FastAPI
from fastcrud import crud_router

from loadtests.bench.orm import FlightCreate, FlightRead, FlightUpdate, lifespan, open_session
from service.models.flights import Flight

app = FastAPI(lifespan=lifespan)
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
