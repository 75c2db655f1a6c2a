"""The log of security events: what is in it, what never is, and that nobody changes it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pyotp
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.security_events import name_tried
from service.core.types import Action, Role
from service.crud import accounts
from service.db.engine import UnitOfWork, make_engine
from service.jobs.housekeeping import Housekeeping
from service.jobs.job_type import JobType
from tests.admin.conftest import PASSWORD, MakeOperator, Operator, enrol, text_of
from tests.conftest import Database
from tests.service_under_test import Service, in_session, settings_from

ROOT = Path(__file__).parents[2]
Events = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def events(database: Database) -> Events:
    """Events since the test began, the oldest first, about a subject or by an actor."""
    (last,) = database.execute("select coalesce(max(id), 0) as id from rowhouse.security_events")

    def read(subject: str | None = None) -> list[dict[str, Any]]:
        found = database.execute(
            "select kind, actor, subject, address, details::text from rowhouse.security_events"
            " where id > $1 and ($2::text is null or subject = $2) order by id",
            last["id"],
            subject,
        )
        return [dict(one) for one in found]

    return read


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [one["kind"] for one in found]


def test_logins_and_their_failures_are_kept(operators: MakeOperator, service: Service, events: Events) -> None:
    person = operators(Role.VIEWER, is_logged_in=False)
    person.log_in("a secret, but a wrong one")
    person.log_in()
    person.send("/admin/logout", {"csrf": person.csrf})
    found = events(person.email)
    assert kinds(found) == ["user_created", "login_failed", "logged_in", "logged_out"]
    failed, came, left = found[1:]
    assert (failed["actor"], failed["address"]) == (None, "127.0.0.1")
    assert (came["actor"], came["address"]) == (f"user:{person.email}", "127.0.0.1")
    assert left["actor"] == f"user:{person.email}"
    with service.client(None) as client:
        login = {"username": person.email, "password": PASSWORD}
        pair = client.post("/api/v1/-/auth/token", data=login).json()
        old = {"refresh_token": pair["refresh_token"]}
        new = client.post("/api/v1/-/auth/refresh", data=old).json()
        assert client.post("/api/v1/-/auth/refresh", data=old).status_code == 401
        client.post("/api/v1/-/auth/logout", data={"refresh_token": new["refresh_token"]})
        pair = client.post("/api/v1/-/auth/token", data=login).json()
        client.post("/api/v1/-/auth/logout", data={"refresh_token": pair["refresh_token"]})
    assert kinds(events(person.email))[4:] == ["logged_in", "refresh_token_reused", "logged_in", "logged_out"]
    everything = str(events())
    for secret in ("wrong one", PASSWORD, pair["refresh_token"], new["refresh_token"], pair["access_token"]):
        assert secret not in everything


@pytest.mark.parametrize(
    ("tried", "kept"),
    [
        ("ada@example.com", "ada@example.com"),
        ("correct horse battery", None),
        ("a@b\x00", None),
        ("x" * 300 + "@", None),
        ("a@b\n", "a@b"),
    ],
)
def test_what_is_no_address_may_be_a_password_and_is_not_kept(tried: str, kept: str | None) -> None:
    assert name_tried(tried) == kept


def test_second_factors_are_kept(operators: MakeOperator, service: Service, database: Database, events: Events) -> None:
    person = operators(Role.EDITOR, is_logged_in=False)
    secret, codes = enrol(service, database, person.email)
    person.log_in()
    form = person.form("/admin/login/code")
    person.http.post("/admin/login/code", data=form | {"code": "000000"})
    person.send("/admin/login/code", form | {"code": codes[0]})
    with service.client(None) as client:
        client.post("/api/v1/-/auth/token", data={"username": person.email, "password": PASSWORD})
    found = events(person.email)
    assert kinds(found) == [
        "user_created",
        "second_factor_on",
        "second_factor_failed",
        "recovery_code_used",
        "logged_in",
        "second_factor_failed",
    ]
    assert '"no_code": true' in found[-1]["details"]
    other = operators(Role.EDITOR)
    other.send("/admin/-/account/factor/confirm", {"csrf": other.csrf, "code": "000000"}, 409)
    assert kinds(events(other.email))[-1] == "second_factor_failed"
    everything = str(events())
    for one in (secret, codes[0], "000000", pyotp.TOTP(secret).now()):
        assert one not in everything


def test_what_administrators_change_is_kept_with_who_did_it(
    admin: Operator, database: Database, events: Events
) -> None:
    email = "watched@example.com"
    try:
        form = admin.form("/admin/-/users", "/admin/-/users")
        admin.send("/admin/-/users", form | {"email": email, "role": "viewer"}, 200)
        (user,) = database.execute("select id from rowhouse.users where email = $1", email)
        path = f"/admin/-/users/{user['id']}"
        admin.send(path, admin.form(path) | {"role": "editor", "active": "no"})
        admin.send(f"{path}/reset-password", admin.form(path), 200)
        admin.send(f"{path}/end-logins", admin.form(path))
        grant = "/admin/-/grants/viewer/planes"
        shown = admin.form(grant)
        admin.send(grant, shown | {"now.update": "on", "now.rows.update": "year=gt.2000"})
        undone = admin.form(grant)
        undone.pop("now.update")
        admin.send(grant, undone)
    finally:
        database.execute("delete from rowhouse.users where email = $1", email)
    found = events(email)
    assert kinds(found) == ["user_created", "role_changed", "user_closed", "password_changed", "logins_ended"]
    assert {one["actor"] for one in found} == {f"user:{admin.email}"}
    assert {one["address"] for one in found} == {"127.0.0.1"}
    granted = events("viewer planes")
    assert kinds(granted) == ["granted", "grant_revoked"]
    assert "year=gt.2000" in granted[0]["details"]
    words = text_of(admin.get(f"/admin/-/security?subject={email}"))
    assert "role changed" in words
    assert "granted" not in words.partition("More")[2]
    assert "role changed" not in text_of(admin.get("/admin/-/security?kind=failures")).partition("More")[2]
    assert text_of(admin.get("/admin/-/security?until=2001-01-01")).count("UTC") == 0


def test_the_commands_are_kept_too(database: Database, shared_folder: Path, events: Events) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(shared_folder),
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
    }
    run = "from service.cli.main import run; run()"
    command = [sys.executable, "-c", run, "keys", "create", "kept by the log", "--days", "1"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    (key,) = done.stdout.split()
    (made,) = [one for one in events() if "kept by the log" in one["details"]]
    assert made["kind"] == "key_created"
    assert made["actor"].startswith("cli")
    assert key.startswith(made["subject"])
    assert key not in str(made)
    in_session(database.service_url, lambda session: accounts.revoke_key(session, made["subject"]))


def test_an_event_and_what_it_tells_of_are_kept_together(database: Database, events: Events) -> None:
    async def grant_and_fail(session: AsyncSession) -> None:
        await accounts.grant(session, Role.VIEWER, "nothing_of_the_kind", [Action.READ], None)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        in_session(database.service_url, grant_and_fail)
    assert events("viewer nothing_of_the_kind") == []


def test_the_service_changes_and_deletes_none(database: Database, service: Service) -> None:
    async def run(sql: str) -> None:
        connection = await asyncpg.connect(database.service_url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    for sql in (
        "delete from rowhouse.security_events",
        "update rowhouse.security_events set actor = 'nobody'",
        "truncate rowhouse.security_events",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            asyncio.run(run(sql))


async def _keep_house(database: Database) -> object:
    """What the periodic job does, by the service's role."""
    engine = make_engine(
        database.service_url, settings_from({"DATABASE_URL": database.service_url}).database, role=None
    )
    try:
        day = timedelta(days=1)
        due = {one.type.name: one.type for one in Housekeeping(UnitOfWork(engine), day, day).periodic()}
        job = due["delete_security_events"]
        assert isinstance(job, JobType)
        run: Any = None  # it says nothing of itself while it runs
        return await job.run(run)
    finally:
        await engine.dispose()


def test_they_are_kept_for_400_days(database: Database) -> None:
    for days in (399, 401):
        database.execute(
            "insert into rowhouse.security_events (at, kind, actor) values (now() - make_interval(days => $1),"
            " 'logged_in', 'user:long.ago@example.com')",
            days,
        )
    assert asyncio.run(_keep_house(database)) == {"security_events": 1}
    left = database.execute(
        "select at < now() - interval '400 days' from rowhouse.security_events where actor like '%long.ago%'"
    )
    assert [row[0] for row in left] == [False]
