"""Webhooks of all owners, for administrators."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from service.admin.pages.system.sent import id_in, number_in, text_in, word_in
from service.admin.visit import Visit
from service.api.problem import status_of
from service.core.errors import Conflict, InvalidBody, InvalidQuery, RowhouseError
from service.models.system import Webhook
from service.subscriptions.store import EVENTS, NewWebhook, owns

_PAGE = 50
_STATES = ("waiting", "pending", "delivered", "dead")
_LARGEST = 2**63


async def show(visit: Visit) -> Response:
    """All webhooks, and the form of a new one."""
    return await _list(visit, NewWebhook("", ""))


async def create(visit: Visit) -> Response:
    """A webhook of the administrator's own; its secret is shown this once."""
    chosen = tuple(kind for kind in EVENTS if f"event.{kind.value}" in visit.form)
    texts = {name: text_in(visit.form, name).strip() for name in ("url", "table", "filter", "description")}
    new = NewWebhook(events=chosen, **texts)
    try:
        if not (new.url and new.table and new.events):
            raise InvalidBody("A webhook needs an address, a table, and changes that it is told of.")
        webhook, secret = await visit.runtime.subscriptions.create(visit.session.principal, new)
    except RowhouseError as error:
        return await _list(visit, new, error)
    return await _secret_page(visit, webhook, secret, "The webhook was made.", "Receivers check messages with it.")


async def _list(visit: Visit, new: NewWebhook, error: RowhouseError | None = None) -> Response:
    return await visit.page(
        "system/webhooks.html",
        200 if error is None else status_of(error),
        title="Webhooks",
        webhooks=await visit.runtime.subscriptions.all(visit.session.principal),
        new=new,
        kinds=EVENTS,
        tables=sorted(one.name for one in visit.runtime.catalog),
        error=error,
    )


async def _secret_page(visit: Visit, webhook: Webhook, secret: str, message: str, advice: str) -> Response:
    return await visit.page(
        "system/shown_once.html",
        title="Webhook",
        message=message,
        what="Secret",
        secret=secret,
        advice=advice,
        back=_path(visit, webhook),
        back_words="the webhook",
    )


async def show_one(visit: Visit) -> Response:
    """One webhook, and what was delivered."""
    webhook = await _webhook(visit)
    state, before = word_in(visit, "state"), number_in(visit, "before")
    if state and state not in _STATES:
        raise InvalidQuery("There is no such state.")
    page = await visit.runtime.delivery_log.page(webhook.id, state or None, before, _PAGE + 1)
    return await visit.page(
        "system/webhook.html",
        title="Webhook",
        webhook=webhook,
        deliveries=page[:_PAGE],
        more=page[_PAGE - 1].id if len(page) > _PAGE else None,
        chosen=state,
        states=_STATES,
        # What a receiver answered is for the owner alone.
        is_own=owns(visit.session.principal, webhook),
    )


async def set_state(visit: Visit) -> Response:
    """Pause it, or have it go on, if it is still as the page showed it."""
    webhook, to = await _webhook(visit), text_in(visit.form, "state")
    if to not in ("active", "paused"):
        raise InvalidBody("A webhook is made active or paused.")
    shown = text_in(visit.form, "was.state")
    await visit.runtime.subscriptions.change(visit.session.principal, webhook.id, {"state": to}, shown=shown)
    return _back(visit, webhook, f"The webhook is {to}.")


async def ping(visit: Visit) -> Response:
    """Have a trial delivered."""
    webhook = await _webhook(visit)
    try:
        await visit.runtime.delivery_log.ping(webhook)
    except Conflict:  # its hint is for those who call the API
        raise Conflict("The webhook is not active.", hint="Have it go on first.") from None
    return _back(visit, webhook, "A trial is on its way.")


async def replay(visit: Visit) -> Response:
    """Deliver one again."""
    webhook, number = await _webhook(visit), text_in(visit.form, "delivery")
    if not (number.isascii() and number.isdigit() and 0 < int(number) < _LARGEST):
        raise InvalidBody("There is no such delivery.")
    await visit.runtime.delivery_log.replay(webhook.id, int(number))
    return _back(visit, webhook, "It is delivered again.")


async def replay_dead(visit: Visit) -> Response:
    """Deliver again what was given up."""
    webhook = await _webhook(visit)
    count = await visit.runtime.delivery_log.replay_all(webhook.id, None)
    return _back(visit, webhook, f"{count} deliveries are tried again.")


async def rotate(visit: Visit) -> Response:
    """Another secret, which is shown this once."""
    generation = text_in(visit.form, "was.generation")
    webhook = await _webhook(visit)
    if str(webhook.generation) != generation:
        raise Conflict("Somebody else has changed the secret meanwhile.", hint="Load the page again.")
    changed, secret = await visit.runtime.subscriptions.rotate(visit.session.principal, webhook.id)
    hours = visit.runtime.subscriptions.overlap.total_seconds() / 3600
    advice = f"For {hours:g} hours messages are signed with the one before as well."
    return await _secret_page(visit, changed, secret, "The webhook has another secret.", advice)


async def ask_delete(visit: Visit) -> Response:
    """Ask whether to delete it."""
    return await visit.page("system/webhook_delete.html", title="Delete a webhook", webhook=await _webhook(visit))


async def delete(visit: Visit) -> Response:
    """Delete it, with what was to be delivered."""
    await visit.runtime.subscriptions.delete(visit.session.principal, id_in(visit, "webhook"))
    return visit.go(visit.at("-", "webhooks"), "The webhook was deleted.")


ACTIONS: dict[str, Callable[[Visit], Awaitable[Response]]] = {
    "state": set_state,
    "ping": ping,
    "replay": replay,
    "replay-dead": replay_dead,
    "rotate": rotate,
    "delete": delete,
}


async def _webhook(visit: Visit) -> Webhook:
    return await visit.runtime.subscriptions.get(visit.session.principal, id_in(visit, "webhook"))


def _path(visit: Visit, webhook: Webhook) -> str:
    return visit.at("-", "webhooks", str(webhook.id))


def _back(visit: Visit, webhook: Webhook, note: str) -> Response:
    return visit.go(_path(visit, webhook), note)
