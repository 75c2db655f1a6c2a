"""Where webhooks may go."""

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Sequence

import pytest

from service.core.errors import ConfigurationError, TargetRefused
from service.subscriptions.target import Targets, is_public
from tests.service_under_test import settings_from

_PUBLIC = "93.184.215.14"


def targets(*addresses: str, **settings: str) -> Targets:
    """With a look-up that finds these addresses, whatever it is asked."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    named = {f"WEBHOOK_{name.upper()}": value for name, value in settings.items()}
    return Targets(settings_from({"DATABASE_URL": "postgresql://nowhere/none", **named}).webhooks, resolve)


def check(url: str, *addresses: str, **settings: str) -> None:
    asyncio.run(targets(*(addresses or (_PUBLIC,)), **settings).check(url))


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://hooks.example.org", "hooks.example.org", "/"),
        ("https://Hooks.Example.org:443/a/b?c=d", "hooks.example.org", "/a/b?c=d"),
        ("https://bücher.example/", "xn--bcher-kva.example", "/"),
        ("https://93.184.215.14/x", "93.184.215.14", "/x"),
        ("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]", "/"),
    ],
)
def test_public_hosts_are_allowed(url: str, authority: str, path: str) -> None:
    target = asyncio.run(targets(_PUBLIC).check(url))
    assert (target.authority, target.path) == (authority, path)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "ftp://hooks.example.org/",
        "gopher://hooks.example.org/",
        "//hooks.example.org/",
        "hooks.example.org",
        "https://",
        "https:///path",
        "https://ada@hooks.example.org/",
        "https://ada:secret@hooks.example.org/",
        "https://@hooks.example.org/",
        "https://hooks.example.org#there",
        "https://hooks.example.org:8443/",
        "https://hooks.example.org:0/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org:x/",
        "https://hooks.example.org./",
        "https://hooks..example.org/",
        "https://hooks_.example org/",
        "https://hooks.example.org\\@evil.example/",
        "https://hooks.example.org/\r\nHost: evil",
        "https://hooks.example.org/ä",
        "https://-hooks.example.org/",
        f"https://{'a' * 64}.example.org/",
        f"https://{'a.' * 200}org/",
        f"https://hooks.example.org/{'a' * 2000}",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://[2606:2800::1%251]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.1.nip.123/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127\u30020\u30020\u30021/",
    ],
)
def test_what_is_no_plain_url_of_a_host_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused):
        check(url)


_INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "169.254.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "0.0.0.0",  # noqa: S104 (an address to be refused)
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "168.63.129.16",
    "192.88.99.1",
    "64:ff9b::a83f:8110",
    "::ffff:168.63.129.16",
    "2002:a83f:8110::",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "::1",
    "::",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2002:a00:1::1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:0:a00:1::",
]


@pytest.mark.parametrize("address", _INSIDE)
def test_addresses_inside_are_refused_by_name_and_as_such(address: str) -> None:
    with pytest.raises(TargetRefused) as refused:
        check("https://hooks.example.org/", address)
    assert address not in f"{refused.value.message} {refused.value.hint}"
    with pytest.raises(TargetRefused):
        check(f"https://[{address}]/" if ":" in address else f"https://{address}/")
    with pytest.raises(TargetRefused):
        check("https://hooks.example.org/", _PUBLIC, address)


@pytest.mark.parametrize(
    "address", [_PUBLIC, "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1", "2002:101:101::1"]
)
def test_addresses_outside_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_a_slow_name_server_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither other names, nor what else the process does in threads, such as looking at passwords."""
    released = threading.Event()
    asked: list[str] = []

    def look_up(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host.startswith("slow"):
            released.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (_PUBLIC, port))]

    async def run() -> float:
        found = Targets(settings_from({}).webhooks)
        slow = [asyncio.create_task(found.addresses(f"slow{n % 20}.example", 443)) for n in range(200)]
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        async with asyncio.timeout(3):
            await asyncio.gather(found.addresses("quick.example", 443), asyncio.to_thread(int))
        seconds = time.monotonic() - begun
        released.set()
        await asyncio.gather(*slow)
        return seconds

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert asyncio.run(run()) < 1
    assert len(asked) == 21, "those who ask at the same time share a look-up"


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(TargetRefused, match="no address"):
        asyncio.run(targets().check("https://nowhere.example/"))


@pytest.mark.parametrize(
    ("allowed", "url", "address"),
    [
        ("hooks.example.org", "https://hooks.example.org/", "10.0.0.1"),
        ("*.example.org", "https://a.b.example.org/", "10.0.0.1"),
        ("hooks.example.org:8443", "https://hooks.example.org:8443/", "10.0.0.1"),
        ("10.1.0.0/16", "https://hooks.example.org/", "10.1.2.3"),
        ("10.1.2.3", "https://10.1.2.3/", "10.1.2.3"),
        ("[::1]:8443", "https://[::1]:8443/", "::1"),
        ("fd00::/8", "https://hooks.example.org/", "fd00::1"),
    ],
)
def test_in_house_receivers_can_be_allowed(allowed: str, url: str, address: str) -> None:
    check(url, address, allowed_hosts=allowed)
    with pytest.raises(TargetRefused):
        check(url, address)


@pytest.mark.parametrize(
    ("allowed", "url", "address"),
    [
        ("*.example.org", "https://example.org/", "10.0.0.1"),
        ("*.example.org", "https://evilexample.org/", "10.0.0.1"),
        ("hooks.example.org:8443", "https://hooks.example.org/", "10.0.0.1"),
        ("hooks.example.org", "https://hooks.example.org:8443/", "10.0.0.1"),
        ("10.1.0.0/16", "https://hooks.example.org/", "10.2.0.1"),
        ("10.1.0.0/16", "https://hooks.example.org:8443/", "10.1.0.1"),
        ("10.1.2.3", "https://hooks.example.org/", "10.1.2.3"),
    ],
)
def test_what_is_allowed_is_no_more_than_it_says(allowed: str, url: str, address: str) -> None:
    with pytest.raises(TargetRefused):
        check(url, address, allowed_hosts=allowed)


def test_http_and_ports_are_allowed_by_settings() -> None:
    check("http://hooks.example.org/", allow_http="true", allowed_ports="80,443")
    check("https://hooks.example.org:8443/", allowed_ports="8443")
    with pytest.raises(TargetRefused, match="Port 443"):
        check("https://hooks.example.org/", allowed_ports="8443")


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "hooks.example.org:x", "hooks.example.org:0", "a b", "*."])
def test_an_entry_that_cannot_be_read_stops_the_start(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="WEBHOOK_ALLOWED_HOSTS"):
        targets(allowed_hosts=entry)
