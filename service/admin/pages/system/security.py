"""The log of security events, for administrators."""

from starlette.responses import Response

from service.admin.pages.system.sent import moment_in, number_in, word_in
from service.admin.visit import Visit
from service.auth.security_events import FAILURES, EventKind
from service.core.errors import InvalidQuery
from service.crud.security_events import Sought, events

_PAGE = 100
_ALL_FAILURES = "failures"


async def show(visit: Visit) -> Response:
    """Events, the latest first, by what is asked for."""
    kind = word_in(visit, "kind")
    if kind not in ("", _ALL_FAILURES, *EventKind):
        raise InvalidQuery("There is no such event.")
    kinds = [one.value for one in FAILURES] if kind == _ALL_FAILURES else [kind] if kind else []
    asked = {name: word_in(visit, name) for name in ("actor", "subject", "address", "since", "until")}
    sought = Sought(
        kinds,
        asked["actor"],
        asked["subject"],
        asked["address"],
        moment_in(visit, "since"),
        moment_in(visit, "until"),
        number_in(visit, "before"),
    )
    async with visit.runtime.unit_of_work.begin() as session:
        found = await events(session, sought, _PAGE + 1)
    kept = [(name, value) for name, value in (("kind", kind), *asked.items()) if value]
    more = (
        visit.at("-", "security", query=[*kept, ("before", str(found[_PAGE - 1].id))]) if len(found) > _PAGE else None
    )
    return await visit.page(
        "system/security.html",
        title="Security events",
        events=found[:_PAGE],
        more=more,
        kind=kind,
        asked=asked,
        kinds=EventKind,
        failures=[one.value for one in FAILURES],
        kept=kept,
    )
