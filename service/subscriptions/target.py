"""Where webhooks may go: to receivers on the public internet, and to those in-house that are allowed by name.

Server-side request forgery (OWASP) is kept off by addresses, not by names: a name is looked up once for each attempt,
every address that it has must be allowed, and the connection goes to an address that was looked at.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import idna

from service.core.errors import ConfigurationError, TargetRefused
from service.core.settings import WebhookSettings
from service.core.single_flight import SingleFlight

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_MOST_CHARACTERS = 2000
_LOOK_UP_SECONDS = 5.0
_LOOK_UP_THREADS = 64
_DEFAULT_PORTS = {"https": 443, "http": 80}
_PLAIN = re.compile(r"[!-~]+")  # visible ASCII (RFC 3986)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# A last label like these makes a host an IPv4 address to some readers (WHATWG URL, "ends in a number").
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What Python's `is_global` lets pass: it follows IANA's registries only so far, and clouds have addresses of their own.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata service is at 192.0.0.192
            "168.63.129.16/32",  # Azure's metadata service and name server
            "192.88.99.0/24",  # relays of 6to4, which are no more
            "3fff::/20",  # documentation
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in its parts. `host` is ASCII, in small letters; `path` begins with a slash and has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """As the `Host` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class Targets:
    """Tells which targets are allowed, by the settings."""

    def __init__(self, settings: WebhookSettings, resolve: Resolve | None = None) -> None:
        """`resolve` looks names up; by default the system does.

        Raises:
            ConfigurationError: WEBHOOK_ALLOWED_HOSTS cannot be read.
        """
        self._schemes = ("https", "http") if settings.webhook_allow_http else ("https",)
        self._ports = frozenset(settings.webhook_allowed_ports)
        self._in_house = tuple(map(_in_house, settings.webhook_allowed_hosts))
        self._resolve = resolve or _System()

    def read(self, url: str) -> Target:
        """The parts of a URL whose scheme, host and port are allowed, as far as they tell without looking it up.

        Raises:
            TargetRefused: they are not, or it is no URL.
        """
        if len(url) > _MOST_CHARACTERS or "\\" in url or any(sign <= " " or sign == "\x7f" for sign in url):
            raise TargetRefused(
                f"The URL has spaces, control characters or backslashes, or more than {_MOST_CHARACTERS} characters."
            )
        try:
            parts = urlsplit(url)
            port = parts.port
            host = parts.hostname or ""
        except ValueError:
            raise TargetRefused("This is no URL.", hint="Write https://host/path.") from None
        if parts.scheme not in self._schemes:
            raise TargetRefused(f"A webhook goes to {' or '.join(self._schemes)}.", hint="Write https://host/path.")
        if parts.username is not None or parts.password is not None:
            raise TargetRefused(
                "The URL has a user name or password.", hint="The receiver knows a delivery by its signature."
            )
        if parts.fragment:
            raise TargetRefused("The URL has a fragment (#…), which is never sent.", hint="Leave it out.")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not _PLAIN.fullmatch(path):
            raise TargetRefused("The path has signs beyond ASCII.", hint="Percent-encode them.")
        target = Target(parts.scheme, _host(host), _DEFAULT_PORTS[parts.scheme] if port is None else port, path)
        self._require_port(target)
        return target

    async def check(self, url: str) -> Target:
        """A URL that a webhook may go to now.

        Raises:
            TargetRefused: it may not.
        """
        target = self.read(url)
        await self.addresses(target.host, target.port)
        return target

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host, each of which may be connected to.

        Raises:
            TargetRefused: there are none, or one of them is not on the public internet and not allowed.
        """
        literal = _address(host)
        try:
            async with asyncio.timeout(_LOOK_UP_SECONDS):
                found = [str(literal)] if literal else list(await self._resolve(host, port))
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise TargetRefused("The host has no address.", hint="Is its name written as it should be?")
        if not all(self._may_reach(host, port, ipaddress.ip_address(one)) for one in found):
            raise TargetRefused(
                "The host is not on the public internet.",
                hint="An administrator can allow receivers in-house: WEBHOOK_ALLOWED_HOSTS.",
            )
        return found

    def _require_port(self, target: Target) -> None:
        if target.port not in self._ports and not any(one.names(target.host, target.port) for one in self._in_house):
            raise TargetRefused(
                f"Port {target.port} is not one that webhooks may go to: {', '.join(map(str, sorted(self._ports)))}.",
                hint="An administrator can allow it: WEBHOOK_ALLOWED_PORTS.",
            )

    def _may_reach(self, host: str, port: int, address: Address) -> bool:
        return is_public(address) or any(one.reaches(host, port, address) for one in self._in_house)


@dataclass(frozen=True, slots=True)
class _InHouse:
    """An entry of WEBHOOK_ALLOWED_HOSTS: a name, the names below one, or a network; perhaps with a port."""

    host: str
    is_suffix: bool = False
    port: int | None = None
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None

    def names(self, host: str, port: int) -> bool:
        """Whether the entry allows this port of this host."""
        return self.network is None and self.port == port and self._is_of(host)

    def reaches(self, host: str, port: int, address: Address) -> bool:
        if self.network is not None:
            return address in self.network
        return self.port in (None, port) and self._is_of(host)

    def _is_of(self, host: str) -> bool:
        return host.endswith(f".{self.host}") if self.is_suffix else host == self.host


def is_public(address: Address) -> bool:
    """Whether an address is one of a host on the public internet (IANA's registries of special addresses).

    An IPv6 address that stands for one of IPv4 (mapped, 6to4, Teredo, NAT64) is judged by that as well.
    """
    if any(address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not (address.is_multicast or address.is_reserved)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    within = [address.sixtofour, *(address.teredo or ())]
    if not all(is_public(one) for one in within if one is not None):
        return False
    return address in _UNICAST and address.is_global


class _System:
    """Looks names up as the system does: it blocks a thread for as long as a name server takes, which the owner of a
    name can make long. So these threads are apart from those of the process, and all who ask for a name at the same
    time share one.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOK_UP_THREADS, "look-up")
        self._running: SingleFlight[Sequence[str]] = SingleFlight()

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        return await self._running.run((host, port), lambda: self._find(host, port))

    async def _find(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _host(text: str) -> str:
    """A host as it is looked up: an address in its usual form, or a name in ASCII (IDNA 2008).

    Raises:
        TargetRefused: it is none, or an address in a form that readers disagree about.
    """
    if (address := _address(text)) is not None:
        return str(address)
    try:
        name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode()
    except idna.IDNAError:
        raise TargetRefused("The URL's host is no name.") from None
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetRefused("The URL's host is no name.", hint="Write it without a dot at its end.")
    if _NUMBER.fullmatch(labels[-1]):
        raise TargetRefused("The URL's host is an address in an unusual form.", hint="Write it as 192.0.2.1.")
    return name


def _address(text: str) -> Address | None:
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def _in_house(entry: str) -> _InHouse:
    if "/" in entry:
        try:
            return _InHouse("", network=ipaddress.ip_network(entry))
        except ValueError as error:
            raise ConfigurationError(f"WEBHOOK_ALLOWED_HOSTS: {error}.") from None
    name, port = entry, None
    if not _address(entry) and ":" in entry:
        name, _, digits = entry.rpartition(":")
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65536):
            raise ConfigurationError(f"WEBHOOK_ALLOWED_HOSTS: {entry!r} has no port behind its colon.")
        port = int(digits)
    is_suffix = name.startswith("*.")
    try:
        host = _host(name.removeprefix("*.").removeprefix("[").removesuffix("]"))
    except TargetRefused:
        raise ConfigurationError(f"WEBHOOK_ALLOWED_HOSTS: {entry!r} is no host.") from None
    return _InHouse(host, is_suffix, port)
