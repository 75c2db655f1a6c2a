"""The pages of the system, and their place in the menu. All but one's own account are for administrators."""

from starlette.responses import Response

from service.admin.back_office import BackOffice, Handler
from service.admin.menu import Entry, Section
from service.admin.pages.system import (
    account,
    grants,
    jobs,
    keys,
    log,
    own_factor,
    security,
    sessions,
    users,
    webhooks,
)
from service.admin.visit import Visit

_ENTRIES = {
    "users": "Users",
    "keys": "API keys",
    "grants": "Grants",
    "sessions": "Sessions",
    "security": "Security events",
    "webhooks": "Webhooks",
    "jobs": "Jobs",
    "log": "Change log",
}


def add_system(office: BackOffice) -> None:
    """Add them to the application."""
    _add_account(office)
    pages: dict[str, Handler] = {
        "users": users.show,
        "users/{user}": users.show_one,
        "keys": keys.show,
        "grants": grants.show,
        "grants/choose": grants.choose,
        "grants/{role}/{table}": grants.show_one,
        "sessions": sessions.show,
        "security": security.show,
        "webhooks": webhooks.show,
        "webhooks/{webhook}": webhooks.show_one,
        "webhooks/{webhook}/delete": webhooks.ask_delete,
        "jobs": jobs.show,
        "jobs/{job}": jobs.show_one,
        "log": log.show,
    }
    actions: dict[str, Handler] = {
        "users": users.create,
        "users/{user}": users.change,
        "users/{user}/end-logins": users.end_logins,
        "users/{user}/reset-factor": users.reset_factor,
        "users/{user}/reset-password": users.reset_password,
        "keys": keys.create,
        "keys/revoke": keys.revoke,
        "grants/{role}/{table}": grants.change,
        "sessions/{session}/end": sessions.end,
        "webhooks": webhooks.create,
        "jobs/{job}/retry": jobs.retry,
        "jobs/{job}/cancel": jobs.cancel,
    }
    actions |= {f"webhooks/{{webhook}}/{name}": handler for name, handler in webhooks.ACTIONS.items()}
    for path, handler in pages.items():
        office.add_page(f"/-/{path}", for_administrators(handler))
    for path, handler in actions.items():
        office.add_action(f"/-/{path}", for_administrators(handler))
    office.sections_made.append(system)


def _add_account(office: BackOffice) -> None:
    office.add_page("/-/account", account.show)
    office.add_action("/-/account/password", account.change_password)
    office.add_action("/-/account/sessions/{session}/end", account.end_session)
    office.add_action("/-/account/sessions/end-others", account.end_others)
    office.add_action("/-/account/factor/enrol", own_factor.enrol)
    office.add_action("/-/account/factor/confirm", own_factor.confirm)
    office.add_action("/-/account/factor/codes", own_factor.renew_codes)
    office.add_action("/-/account/factor/remove", own_factor.remove)


def for_administrators(handler: Handler) -> Handler:
    """The handler, for administrators; others get a 403."""

    async def serve(visit: Visit) -> Response:
        visit.require_admin()
        return await handler(visit)

    return serve


def system(visit: Visit) -> Section | None:
    """The system's pages, for administrators alone."""
    if not visit.is_admin:
        return None
    here = visit.request.scope["path"]
    paths = {name: visit.at("-", name) for name in _ENTRIES}
    entries = [
        Entry(label, paths[name], here == paths[name] or here.startswith(f"{paths[name]}/"))
        for name, label in _ENTRIES.items()
    ]
    return Section("System", entries)
