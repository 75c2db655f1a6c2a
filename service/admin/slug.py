"""Names and keys as one segment of a path: readable where they are plain, and reversible whatever they are.

A path is percent-decoded before it is routed, so that a slash in a name would part it: `~` stands for the percent sign.
"""

from urllib.parse import quote, unquote

from service.core.errors import InvalidQuery

_EMPTY = "~"
# A dash leads to pages that are of no table; dots are steps in a path.
_NOT_FIRST = {"-": "~2D", ".": "~2E"}


def to_slug(text: str) -> str:
    slug = quote(text, safe="").replace("~", "%7E").replace("%", "~")
    if not slug:
        return _EMPTY
    return _NOT_FIRST.get(slug[0], slug[0]) + slug[1:]


def from_slug(slug: str) -> str:
    """The text of a slug.

    Raises:
        InvalidQuery: it is no UTF-8, or has a NUL character.
    """
    if slug == _EMPTY:
        return ""
    try:
        text = unquote(slug.replace("%", "%25").replace("~", "%"), errors="strict")
    except UnicodeDecodeError:
        raise InvalidQuery("The address is not UTF-8.") from None
    if "\x00" in text:
        raise InvalidQuery("The address has a NUL character, which PostgreSQL cannot store.")
    return text
