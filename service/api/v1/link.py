"""The link in a URL, and what it is for."""

import hashlib

import orjson

from service.auth.links import PREFIX
from service.query.parse.parameters import decode_parameters

_PARAMETER = b"link=" + PREFIX.encode()


def without_link(query_string: bytes) -> tuple[bytes, str | None]:
    """A query string without its link, and the link. A column may be called `link`: `link=eq.x` is a filter."""
    if _PARAMETER not in query_string:
        return query_string, None
    parts = query_string.split(b"&")
    links = [part for part in parts if part.startswith(_PARAMETER)]
    kept = b"&".join(part for part in parts if part not in links)
    return kept, links[0].removeprefix(b"link=").decode("latin-1") if links else None


def target_of(table: str, query_string: bytes) -> bytes:
    """What a link is for, however a tool may encode the URL."""
    return orjson.dumps([table, decode_parameters(query_string)])


def link_digest(link: str) -> str:
    """A name for what belongs to a link."""
    return "-" + hashlib.blake2b(link.encode(), digest_size=8).hexdigest()
