"""What a migration must not do while a service runs: read from its SQL, by squawk and by rules of our own.

A migration that has to says so, with the reason: `accepted = {"ban-drop-column": "1.2 reads it no longer"}`.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from alembic.script import Script

from service.core.errors import ConfigurationError
from service.db.migrations import ROOT, Branch, scripts, sql_of

# The rules of squawk (https://squawkhq.com/docs/rules) that hold. Off are those of taste (`prefer-…`), those that
# `migrate` sees to itself (timeouts, transactions), and `ban-drop-constraint`: which the step to NOT NULL needs.
HELD = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-required-field",
        "adding-serial-primary-key-field",
        "ban-alter-domain-with-add-constraint",
        "ban-concurrent-index-creation-in-transaction",
        "ban-drop-column",
        "ban-drop-database",
        "ban-drop-default",
        "ban-drop-function",
        "ban-drop-not-null",
        "ban-drop-table",
        "ban-drop-view",
        "ban-set-schema",
        "ban-truncate-cascade",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "renaming-column",
        "renaming-object",
        "renaming-table",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
        "require-concurrent-partition-detach",
        "require-concurrent-reindex",
        "syntax-error",
    }
)
_OLDEST_POSTGRESQL = "15.0"
_NAME = r'(?P<table>(?:"(?:[^"]|"")+"|[\w$.])+)'
_ALTER = rf"alter table (?:if exists )?(?:only )?{_NAME} .*?"


@dataclass(frozen=True, slots=True)
class Rule:
    """One of ours: a statement that begins so, unless its table is made by the same migration."""

    name: str
    pattern: re.Pattern[str]
    message: str
    help: str

    @classmethod
    def of(cls, name: str, pattern: str, message: str, help: str) -> "Rule":
        return cls(name, re.compile(pattern, re.IGNORECASE | re.DOTALL), message, help)


OURS = (
    Rule.of(
        "change-of-rows",
        rf"(?:with .*?)?(?:update (?:only )?|delete from (?:only )?|merge into ){_NAME}"  # noqa: S608 (a pattern)
        rf"|insert into {_NAME.replace('table', 'into')}.*?\bselect\b",
        "Rows are locked until the whole migration is over, and dead rows are left in one heap.",
        "Fill in batches with a commit after each, apart from what changes the schema.",
    ),
    Rule.of(
        "rewriting-table",
        rf"vacuum .*?\bfull\b|cluster\b|{_ALTER}set (?:unlogged|logged|tablespace|access method)",
        "The table is written anew, and nobody reads or writes it meanwhile.",
        "Do it in a window of its own, or copy into a new table and change over.",
    ),
    Rule.of(
        "adding-serial-field",
        rf"{_ALTER}add (?:column )?(?:if not exists )?\S+ (?:big|small)?serial",
        "The table is written anew to number its rows, and nobody reads or writes it meanwhile.",
        "Add a nullable column, fill it in batches, and give it an identity then.",
    ),
    Rule.of(
        "adding-field-with-check",
        rf"{_ALTER}add (?!constraint\b|check\b)[^,]* check \(",
        "Every row is read, and nobody reads or writes the table meanwhile.",
        "Add the column, then the check NOT VALID, and validate it in a migration of its own.",
    ),
    Rule.of(
        "locking-table",
        rf"lock (?:table )?(?:only )?{_NAME}",
        "Others wait until the migration is over.",
        "Do without.",
    ),
    Rule.of(
        "truncating-table",
        rf"truncate (?:[^,]*,|(?:table )?(?:only )?{_NAME})",
        "All rows go, and the release that runs beside finds none.",
        "Delete in batches what is not needed any more.",
    ),
    Rule.of(
        "dropping-much",
        r"drop schema .*\bcascade\b|drop owned by\b",
        "Whatever is in there goes, also what nobody has named.",
        "Drop one thing after the other, by name, once no release reads it any more.",
    ),
    Rule.of(
        "disabling-trigger",
        rf"{_ALTER}disable trigger\b",
        "What others write meanwhile is neither logged nor checked.",
        "Let triggers be.",
    ),
    Rule.of(
        "refreshing-view",
        r"refresh materialized view (?!concurrently)",
        "Nobody reads the view meanwhile.",
        "Refresh it CONCURRENTLY, which needs a unique index.",
    ),
    Rule.of(
        "unread-code", r"do\b", "What a DO block does cannot be read here.", "Write statements, or say why it is safe."
    ),
)
# With IF NOT EXISTS it may have been there.
_MADE = re.compile(rf"create (?:unlogged )?(?:table|materialized view) (?!if not exists ){_NAME}", re.IGNORECASE)
_OF_ALEMBIC = re.compile(r"(?:update|insert into|delete from) (?:rowhouse\.)?alembic_version\b", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TEXT = re.compile(r"(\$\w*\$).*?\1|'(?:[^']|'')*'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a migration does, and what it could do in place of it."""

    revision: str
    rule: str
    message: str
    help: str
    statement: str


def linted(branches: Iterable[Branch] = tuple(Branch)) -> list[Script]:
    """The migrations that are newer than the release that is out (`[tool.rowhouse]` in pyproject.toml)."""
    released = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["rowhouse"]["released_migrations"]
    directory = scripts()
    old = {item.revision for item in directory.iterate_revisions(tuple(released), "base")}
    lines = [item for branch in branches for item in directory.iterate_revisions(f"{branch}@head", "base")]
    return list({item.revision: item for item in reversed(lines) if item.revision not in old}.values())


def lint(migrations: Iterable[Script]) -> list[Finding]:
    """What these migrations must not do.

    Raises:
        ConfigurationError: squawk is not installed, or a migration's SQL cannot be had without a database.
    """
    found: list[Finding] = []
    for migration in migrations:
        accepted: dict[str, str] = getattr(migration.module, "accepted", {})
        findings = list(findings_in(migration.revision, _sql(migration)))
        found += [finding for finding in findings if finding.rule not in accepted]
        found += [
            Finding(migration.revision, rule, "It is accepted, and not done.", "Take it out of `accepted`.", "")
            for rule in accepted.keys() - {finding.rule for finding in findings}
        ]
    return found


def findings_in(revision: str, sql: str) -> Iterator[Finding]:
    """What is found in a migration's SQL, accepted or not."""
    yield from _of_squawk(revision, sql)
    yield from _of_ours(revision, sql)


def _sql(migration: Script) -> str:
    try:
        return sql_of(migration.revision)
    except AttributeError as error:  # it asks a connection, and there is none
        raise ConfigurationError(
            f"{migration.revision} cannot be read without a database: it asks one while it runs ({error})."
        ) from error


def _of_squawk(revision: str, sql: str) -> Iterator[Finding]:
    program = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    if program is None:
        raise ConfigurationError("The linter needs squawk: pip install squawk-cli.")
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{revision}.sql"
        file.write_text(sql)
        run = subprocess.run(  # noqa: S603 (our own arguments)
            [program, "--reporter", "json", "--pg-version", _OLDEST_POSTGRESQL, str(file)],
            check=False,
            capture_output=True,
            cwd=folder,
        )
    try:
        reported = orjson.loads(run.stdout)
    except orjson.JSONDecodeError:
        raise ConfigurationError(f"squawk failed: {run.stderr.decode(errors='replace').strip()}") from None
    lines = sql.splitlines()
    for one in reported:
        if one["rule_name"] in HELD:
            statement = " ".join(" ".join(lines[one["line"] : one["line_end"] + 1]).split())
            yield Finding(revision, one["rule_name"], one["message"], one["help"] or "", statement)


def _of_ours(revision: str, sql: str) -> Iterator[Finding]:
    made: set[str] = set()
    for statement in statements(sql):
        if made_now := _MADE.match(statement):
            made.add(made_now["table"])
        if _OF_ALEMBIC.match(statement):
            continue
        for rule in OURS:
            match = rule.pattern.match(statement)
            if match and not made & {name for name in match.groupdict().values() if name}:
                yield Finding(revision, rule.name, rule.message, rule.help, statement)


def statements(sql: str) -> Iterator[str]:
    """The statements of a script, each in one line, without comments and with empty texts."""
    bare = _TEXT.sub("''", _COMMENT.sub(" ", sql))
    for statement in bare.split(";"):
        if words := statement.split():
            yield " ".join(words)
