"""`make publish`: the service on Posit Connect, by the vendor's own command, which asks nothing here.

    CONNECT_SERVER, CONNECT_API_KEY     the server, and a publisher's key
    DATABASE_URL, JWT_SECRET            what the service needs; without them only where CONNECT_APP_ID names content
    CONNECT_VARIABLES                   names of further variables that it is given, parted by commas
    CONNECT_TITLE, CONNECT_APP_ID       its title, and the content that it replaces

All by the environment: no value is ever in a file, on a command line, or in what is printed.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from deploy import generated

_NEEDED = ("DATABASE_URL", "JWT_SECRET")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
# These would stand in for the service's own at the server: they are of this machine, or of Connect.
_NEVER = ("CONNECT_SERVER", "CONNECT_API_KEY", "POSIT_PRODUCT", "PATH", "HOME")


def faults(environment: Mapping[str, str]) -> list[str]:
    """What is missing or wrong, in sentences."""
    found = []
    server = urlsplit(environment.get("CONNECT_SERVER", ""))
    if not environment.get("CONNECT_SERVER"):
        found.append("CONNECT_SERVER is not set: it is the URL of the server, such as https://connect.example.com.")
    elif server.scheme not in ("http", "https") or not server.netloc:
        found.append("CONNECT_SERVER is no URL: write it with https://.")
    if not environment.get("CONNECT_API_KEY"):
        found.append("CONNECT_API_KEY is not set: make one on the server, under your name, API Keys.")
    if not environment.get("CONNECT_APP_ID"):
        found += [
            f"{name} is not set: the service does not start without it. (CONNECT_APP_ID names content that has it.)"
            for name in _NEEDED
            if not environment.get(name)
        ]
    for name in _further(environment):
        if not _NAME.fullmatch(name) or name in _NEVER:
            found.append(f"CONNECT_VARIABLES: {name!r} is no name of a setting of the service.")
        elif name not in environment:
            found.append(f"CONNECT_VARIABLES names {name}, which is not set.")
    return found


def command(environment: Mapping[str, str]) -> list[str]:
    """What is run; values are not in it."""
    names = [name for name in _NEEDED if environment.get(name)] + _further(environment)
    # The address of the repository is not sent: it may hold a credential.
    made = ["deploy", "manifest", str(generated.ROOT / "manifest.json"), "--no-metadata"]
    for option, name in (("--title", "CONNECT_TITLE"), ("--app-id", "CONNECT_APP_ID")):
        if environment.get(name):
            made += [option, environment[name]]
    for name in names:
        made += ["-E", name]
    return made


def main() -> None:
    """Publish, or say what is missing."""
    found = faults(os.environ)
    if not found and generated.stale({"manifest.json": generated.manifest}):
        found.append("manifest.json is out of step with the code: run `make generated`, and commit.")
    if found:
        sys.exit("\n".join(["Not published:", *found]))
    rsconnect = str(Path(sys.executable).with_name("rsconnect"))
    environment = os.environ | {"RSCONNECT_DISABLE_VERSION_CHECK": "true"}  # its version is locked
    done = subprocess.run([rsconnect, *command(os.environ)], stdin=subprocess.DEVNULL, env=environment)  # noqa: S603
    sys.exit(done.returncode)


def _further(environment: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in environment.get("CONNECT_VARIABLES", "").split(",") if name.strip()]


if __name__ == "__main__":
    main()
