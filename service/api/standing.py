"""How the service stands, for probes."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from service.api.dependencies import State
from service.core.errors import RowhouseError
from service.db.probe import Sight
from service.runtime import Runtime
from service.state import ServiceState

# The follower finds its way back in a quarter of a second; one that does not in this time will not by itself.
_FOLLOWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Why requests should not be sent here (None: they should), and what was seen of the database."""

    reason: str | None
    sight: Sight | None = None


async def standing(state: ServiceState) -> Standing:
    """How it stands now. A pool of which all connections are busy is no reason: elsewhere they would be as well.

    Nor is a database that takes no writes: its rows can be read.
    """
    if state.is_draining:
        return Standing("The service is shutting down.")
    try:
        runtime = state.connected()
        sight = await runtime.probe.look()
    except RowhouseError as error:
        return Standing(error.message)
    return Standing(_reason(runtime, sight), sight)


def _reason(runtime: Runtime, sight: Sight) -> str | None:
    if sight.pending:
        return f"Migrations are pending ({', '.join(sight.pending)}): run `rowhouse migrate`."
    lost = runtime.follower.lost_seconds
    if lost is not None and lost > _FOLLOWER_SECONDS:
        return "The follower of the change log is not connected: live feeds stand still."
    return None


async def _now(state: State) -> Standing:
    return await standing(state)


Now = Annotated[Standing, Depends(_now)]
