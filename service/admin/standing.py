"""Whether each part of the service is well, in words, for administrators."""

import os
import platform
import shutil
import socket
import time
from dataclasses import dataclass, field

from service import __version__
from service.admin.formats import counted, sized
from service.admin.requests import milliseconds
from service.crud.standing import DatabaseState
from service.db.migrations import MigrationState
from service.runtime import Runtime
from service.state import ServiceState

_LATE_SECONDS = 60
_LAG_SECONDS = 5.0
_UPKEEP_SECONDS = 600
_REFUSED_TOO_OFTEN = 50
# PostgreSQL stops writes at 2 billion, and autovacuum begins at 200 million.
_TOO_OLD_TRANSACTIONS = 1_000_000_000
_LEAST_DISK_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Item:
    """One part: `says` is a sentence, `path` (behind the back-office's root) where more is told of it."""

    title: str
    is_well: bool
    says: str
    figures: list[tuple[str, str]] = field(default_factory=list)
    path: tuple[str, ...] = ()


def pool(runtime: Runtime) -> Item:
    opened, idle = runtime.pool.sizes()
    waiting = runtime.pool.waiting()
    says = f"{waiting} requests wait for a connection." if waiting else "Nobody waits for a connection."
    figures = [
        ("In use", f"{opened - idle} of at most {runtime.pool.most}"),
        ("Open", str(opened)),
        ("Waiting", str(waiting)),
    ]
    return Item("Database connections", not waiting, says, figures)


def feed(runtime: Runtime) -> Item:
    lag, subscribers = runtime.hub.metrics.last_lag, len(runtime.hub.subscribers())
    figures = [
        ("Clients", str(subscribers)),
        ("Last lag", "no change was sent yet" if lag is None else milliseconds(lag)),
    ]
    if not runtime.follower.is_connected:
        return Item("Live feed", False, "The follower has no connection to the database.", figures)
    if subscribers and lag is not None and lag > _LAG_SECONDS:
        return Item("Live feed", False, "Changes reach clients late.", figures)
    return Item("Live feed", True, "Changes are followed.", figures)


def webhooks(state: DatabaseState) -> Item:
    troubles = [
        *([f"{state.failing} failing"] if state.failing else []),
        *([f"{state.disabled} disabled"] if state.disabled else []),
        *([f"{_upto(state.undelivered)} deliveries given up"] if state.undelivered else []),
    ]
    says = _sentence(troubles) if troubles else "None of them fails."
    return Item("Webhooks", not troubles, says, [("All", str(state.webhooks))], ("-", "webhooks"))


def jobs(runtime: Runtime) -> Item:
    seen = runtime.queue_watch.figures
    if seen is None:
        return Item("Jobs", False, "The queue could not be looked at.", path=("-", "jobs"))
    troubles = []
    if seen.dead:
        troubles.append(f"{counted(seen.dead)} given up after too many failures")
    if seen.oldest_due > _LATE_SECONDS:
        troubles.append(f"the oldest has waited {seen.oldest_due:.0f} seconds for a worker: is one running?")
    says = _sentence(troubles) if troubles else "They are done when they are due."
    figures = [("Waiting", counted(seen.queued)), ("Running", counted(seen.running)), ("Dead", counted(seen.dead))]
    return Item("Jobs", not troubles, says, figures, ("-", "jobs"))


def change_log(runtime: Runtime) -> Item:
    seen, path = runtime.upkeep.figures, ("-", "log")
    if seen is None:
        return Item("Change log", True, "It was not looked at yet.", path=path)
    troubles = []
    if seen.unplaced:
        troubles.append(f"{_upto(seen.unplaced)} changes have no partition")
    if seen.ahead == 0:
        troubles.append("there is no partition for next week")
    if time.time() - seen.seen_at > _UPKEEP_SECONDS:
        troubles.append("its upkeep has not gone well for ten minutes")
    says = _sentence(troubles) if troubles else "It is kept in order."
    figures = [("Tables", str(seen.tables)), ("Partitions ahead", f"{seen.ahead} weeks")]
    return Item("Change log", not troubles, says, figures, path)


def logins(state: DatabaseState) -> Item:
    is_well = state.refused < _REFUSED_TOO_OFTEN
    says = f"{_upto(state.refused) if state.refused else 'No'} failed logins in the last hour."
    return Item("Logins", is_well, says, path=("-", "security"))


def database(state: DatabaseState, migrated: MigrationState) -> Item:
    troubles = []
    if migrated.pending:
        troubles.append(f"migrations are pending: {', '.join(migrated.pending)}; run `rowhouse migrate`")
    if state.transactions > _TOO_OLD_TRANSACTIONS:
        troubles.append("transaction numbers run out: see to VACUUM")
    says = _sentence(troubles) if troubles else "All migrations are there."
    figures = [
        ("Rowhouse", __version__),
        ("PostgreSQL", state.postgresql),
        ("Python", platform.python_version()),
        ("Migrations", ", ".join(sorted(state.revisions))),
    ]
    return Item("Versions and migrations", not troubles, says, figures)


def disk(state: ServiceState) -> Item | None:
    """Room on the disk, where the database is one of this process."""
    if state.embedded is None:
        return None
    usage = shutil.disk_usage(state.settings.database.data_dir)
    is_well = usage.free > usage.total * _LEAST_DISK_SHARE
    says = "There is room." if is_well else "The disk is nearly full."
    return Item("Disk", is_well, says, [("Free", f"{sized(usage.free)} of {sized(usage.total)}")])


def process_name() -> str:
    """This process among others of the service."""
    return f"{socket.gethostname()}, process {os.getpid()}"


def _sentence(troubles: list[str]) -> str:
    text = "; ".join(troubles)
    return f"{text[0].upper()}{text[1:]}" + ("" if text.endswith("?") else ".")


def _upto(number: int) -> str:
    """A number that was counted up to a bound."""
    return f"{counted(number)} or more" if number >= 1000 else counted(number)
