"""Every page of the back-office, and its menu."""

from service.admin.back_office import BackOffice
from service.admin.menu import Entry, Section
from service.admin.pages import (
    bulk,
    bytes_of,
    cell,
    changes,
    create,
    delete,
    edit,
    export,
    history,
    home,
    import_csv,
    live,
    options,
    row,
    table_list,
    trash,
)
from service.admin.pages.login import add_login
from service.admin.pages.system.all import add_system
from service.admin.slug import to_slug
from service.admin.visit import Visit
from service.core.types import Action

_ROW = "/{identity}/%s/{pk}"


def add_pages(office: BackOffice) -> None:
    """Add them to the application. The pages of no table come first: their addresses begin with a dash."""
    add_login(office)
    office.add_page("/", home.show)
    office.add_page("/{identity}/list", table_list.show)
    office.add_page("/{identity}/export", export.export)
    office.add_action("/{identity}/bulk", bulk.choose)
    office.add_action("/{identity}/bulk-edit", bulk.edit)
    office.add_action("/{identity}/bulk-delete", bulk.delete)
    office.add_page(_ROW % "cell", cell.show)
    office.add_action(_ROW % "cell", cell.save)
    office.add_page("/{identity}/create", create.show)
    office.add_action("/{identity}/create", create.save)
    office.add_page(_ROW % "details", row.show)
    office.add_page(_ROW % "edit", edit.show)
    office.add_action(_ROW % "edit", edit.save)
    office.add_action(_ROW % "merge", edit.merge)
    office.add_page(_ROW % "delete", delete.show)
    office.add_action(_ROW % "delete", delete.delete)
    office.add_page(_ROW % "bytes", bytes_of.download)
    office.add_page("/{identity}/options", options.show)
    office.add_page("/{identity}/import", import_csv.show)
    office.add_upload("/{identity}/import", import_csv.run)
    office.add_upload("/{identity}/preview", import_csv.preview)
    office.add_page("/{identity}/import-job", import_csv.job)
    office.add_page(_ROW % "history", history.show)
    office.add_page("/{identity}/trash", trash.show)
    office.add_action("/{identity}/restore", trash.restore)
    office.add_page("/-/changes", changes.show)
    office.add_page("/-/undo", changes.ask)
    office.add_action("/-/undo", changes.undo)
    office.add_action("/{identity}/live", live.table)
    office.add_action(_ROW % "live", live.row)
    office.add_page(_ROW % "last-change", live.last_change)
    office.templates.env.globals["live_path"] = live.live_path
    office.sections_made.append(tables)
    office.sections_made.append(log)
    add_system(office)


def tables(visit: Visit) -> Section:
    """The tables that the operator may read."""
    principal, policy = visit.session.principal, visit.runtime.policy
    here = visit.request.path_params.get("identity")
    readable = [one for one in policy.visible(principal) if policy.may(principal, one, Action.READ)]
    entries = [
        Entry(one.name, visit.of_table(one, "list"), to_slug(one.name) == here)
        for one in sorted(readable, key=lambda one: one.name)
    ]
    return Section("Tables", entries)


def log(visit: Visit) -> Section:
    """What was done."""
    path = visit.at("-", "changes")
    return Section("Log", [Entry("Recent changes", path, visit.request.url.path == path)])
