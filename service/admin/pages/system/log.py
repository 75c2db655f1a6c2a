"""The change log, for administrators."""

from starlette.responses import Response

from service.admin.visit import Visit
from service.events.log_figures import log_state, untracked


async def show(visit: Visit) -> Response:
    """What enters it, how large it is, and how far it reaches back."""
    runtime, settings = visit.runtime, visit.state.settings.change_log
    catalog = runtime.catalog
    places = {(catalog.schema_of(one), one.table.name): one.name for one in catalog}
    return await visit.page(
        "system/log.html",
        title="Change log",
        log=await log_state(runtime.pool),
        days=settings.change_log_days,
        figures=runtime.upkeep.figures,
        untracked=[places[place] for place in await untracked(runtime.pool, list(places))],
    )
