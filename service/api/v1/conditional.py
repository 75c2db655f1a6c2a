"""Entity tags and conditional requests (RFC 9110, sections 8.8.3 and 13).

The tag of a whole row is its version. Of any other representation it is the version, a hyphen and a hash of the body:
`If-Match` looks at the version alone, `If-None-Match` at all of it.
"""

import hashlib

from service.core.errors import InvalidQuery

ANY = "*"
_LARGEST_XID = 2**32 - 1


def entity_tag(version: str, body: bytes, *, is_whole_row: bool) -> str:
    if is_whole_row:
        return f'"{version}"'
    return f'"{version}-{hashlib.blake2s(body, digest_size=6).hexdigest()}"'


def strong_tags(header: str) -> list[str]:
    """The tags of `If-Match`, without quotes; `[*]` for any. Weak ones match nothing (RFC 9110, section 13.1.1).

    Raises:
        InvalidQuery: they are no entity tags.
    """
    return [tag for is_weak, tag in _parse(header, "If-Match") if not is_weak]


def matches(header: str, tag: str) -> bool:
    """Whether `If-None-Match` names this tag (weak comparison).

    Raises:
        InvalidQuery: it holds no entity tags.
    """
    tags = [tag for _, tag in _parse(header, "If-None-Match")]
    return tags == [ANY] or tag.strip('"') in tags


def is_version(header: str, version: str) -> bool:
    """Whether `If-Match` names this version of a row that is there. Raises: as `strong_tags`."""
    tags = strong_tags(header)
    return tags == [ANY] or version in (tag.partition("-")[0] for tag in tags)


def _parse(header: str, name: str) -> list[tuple[bool, str]]:
    if header.strip() == ANY:
        return [(False, ANY)]
    tags = []
    for part in header.split(","):
        tag = part.strip()
        opaque = tag.removeprefix("W/")
        if len(opaque) < 2 or not (opaque.startswith('"') and opaque.endswith('"')):
            raise InvalidQuery(f"{name} must be an ETag in double quotes, or *.", code="invalid_etag")
        tags.append((opaque != tag, opaque[1:-1]))
    return tags


def versions_of(tags: list[str], epoch: str) -> list[str]:
    """The transaction ids in the tags of this epoch. Another epoch's never match, nor does what is no version."""
    found = []
    for tag in tags:
        life, _, rest = tag.partition(".")
        number = rest.partition("-")[0]
        is_written_so = number.isascii() and number.isdigit() and len(number) <= 10 and str(int(number)) == number
        if life == epoch and is_written_so and int(number) <= _LARGEST_XID:
            found.append(number)
    return found
