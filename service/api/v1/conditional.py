"""Entity tags and conditional requests (RFC 9110, sections 8.8.3 and 13).

The tag of a whole row is its version. Of any other representation it is the version, a hyphen and a hash of the body:
`If-Match` looks at the version alone, `If-None-Match` at all of it.
"""

import hashlib

from service.core.errors import InvalidQuery

ANY = "*"


def entity_tag(version: str, body: bytes, *, is_whole_row: bool) -> str:
    if is_whole_row:
        return f'"{version}"'
    return f'"{version}-{hashlib.blake2s(body, digest_size=6).hexdigest()}"'


def parse_tags(header: str, name: str) -> list[str]:
    """The tags of `If-Match` or `If-None-Match`, without quotes; `[*]` for any.

    Raises:
        InvalidQuery: they are no entity tags.
    """
    if header.strip() == ANY:
        return [ANY]
    tags = []
    for part in header.split(","):
        tag = part.strip()
        weak = tag.removeprefix("W/")
        if len(weak) < 2 or not (weak.startswith('"') and weak.endswith('"')):
            raise InvalidQuery(f"{name} must be an ETag in double quotes, or *.", code="invalid_etag")
        tags.append(weak[1:-1])
    return tags


def matches(header: str, tag: str) -> bool:
    """Whether `If-None-Match` names this tag (weak comparison)."""
    tags = parse_tags(header, "If-None-Match")
    return tags == [ANY] or tag.strip('"') in tags


def is_version(header: str, version: str) -> bool:
    """Whether `If-Match` names this version of a row that is there."""
    tags = parse_tags(header, "If-Match")
    return tags == [ANY] or version in (tag.partition("-")[0] for tag in tags)


def versions_of(tags: list[str], epoch: str) -> list[str]:
    """The transaction ids in the tags of this epoch. Another epoch's never match, nor does what is no version."""
    found = []
    for tag in tags:
        life, _, rest = tag.partition(".")
        number = rest.partition("-")[0]
        if life == epoch and number.isascii() and number.isdigit() and len(number) <= 10:
            found.append(number)
    return found
