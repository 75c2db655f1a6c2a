"""What is known of a backup, kept beside it: it proves that the backup is whole, and what a restore must lead to."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from service.backups.contents import Contents, Table
from service.core.errors import ConfigurationError

FORMAT = 1
_IN_FOLDER = "rowhouse.json"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class KnownRole:
    """A role that owns something, or is granted something. Never its password."""

    name: str
    can_login: bool
    inherits: bool
    member_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """`migrations` are the revisions that the database named, `gone` the log's numbers of tables that are no more,
    `files` the SHA-256 of each file of the backup.
    """

    format: int
    rowhouse: str
    made_at: str
    database: str
    postgresql: int
    server_version: str
    program: int
    migrations: tuple[str, ...]
    extensions: tuple[str, ...]
    roles: tuple[KnownRole, ...]
    gone: tuple[int, ...]
    contents: Contents
    files: Mapping[str, str]

    def write(self, path: Path) -> None:
        """Write it so that it is there whole, or not at all."""
        text = orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)
        unfinished = path.with_name(f"{path.name}.part")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text + b"\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


def path_of(backup: Path) -> Path:
    """Where a backup's manifest is: in its folder, or beside its file."""
    return backup / _IN_FOLDER if backup.is_dir() else backup.with_name(f"{backup.name}.json")


def read(backup: Path) -> Manifest:
    """The manifest of a backup, whose files are what they were.

    Raises:
        ConfigurationError: there is no such backup, it is not whole, or it has been changed.
    """
    if not backup.exists():
        raise ConfigurationError(f"There is no backup {backup}.")
    path = path_of(backup)
    try:
        manifest = _parsed(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} is missing: without it nobody knows whether the backup is whole. Copy it along with the backup. "
            "Without one there is pg_restore, and `rowhouse renew-epoch` for the rest."
        ) from None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise ConfigurationError(f"{path} cannot be read: it is no manifest of a backup.") from None
    if manifest.format != FORMAT:
        raise ConfigurationError(f"{path} was made by a newer release of Rowhouse ({manifest.rowhouse}).")
    if checksums(backup) != manifest.files:
        raise ConfigurationError(f"{backup} is not what was written: its checksums differ. Take another copy of it.")
    return manifest


def checksums(backup: Path) -> dict[str, str]:
    """The SHA-256 of each file of a backup."""
    files = [backup] if backup.is_file() else sorted(path for path in backup.rglob("*") if path.is_file())
    return {
        "" if path == backup else str(path.relative_to(backup)): _sha256(path)
        for path in files
        if path.name != _IN_FOLDER
    }


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _parsed(values: dict[str, Any]) -> Manifest:
    held = values.pop("contents")
    contents = Contents(tuple(Table(**one) for one in held["tables"]), held["objects"], held["objects_digest"])
    roles = tuple(KnownRole(**{**one, "member_of": tuple(one["member_of"])}) for one in values.pop("roles"))
    values |= {name: tuple(values[name]) for name in ("migrations", "extensions", "gone")}
    return Manifest(contents=contents, roles=roles, **values)
