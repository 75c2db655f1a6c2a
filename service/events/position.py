"""Where a reader of the log stands, and the signed text that a client keeps of it."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from service.core.errors import InvalidQuery

_MAC_BYTES = 9
_CURSOR = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{12})\.([0-9]{1,18})")
# With the version of what the text says: a cursor that says it otherwise is no cursor any more.
_PURPOSE = b"rowhouse feed cursor 2"


@dataclass(frozen=True, slots=True)
class Position:
    """A reader that has all that the snapshot `seen` sees; and of what `until` sees beyond it, in order, the changes up
    to number `seq`.
    """

    seen: str
    until: str
    seq: int = 0

    @classmethod
    def at(cls, snapshot: str) -> "Position":
        """The reader has what the snapshot sees, and nothing else."""
        return cls(snapshot, snapshot)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position, the life of the cluster in which it means something, and the digest of the feed that it is of."""

    life: str
    feed: str
    position: Position


class Cursors:
    """Writes and reads cursors: `text.signature.seq`. All changes of a batch share all but the last part.

    A cursor grants nothing, since policy holds for each event; the signature keeps made-up snapshots out.
    """

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), _PURPOSE, "sha256")

    def batch(self, life: str, feed: str, seen: str, until: str) -> str:
        """What the cursors of a batch have in common: `write` adds the number."""
        said = f"{life} {feed} {_pack(seen)} {'' if until == seen else _pack(until)}"
        text = urlsafe_b64encode(said.encode()).rstrip(b"=")
        return f"{text.decode()}.{self._sign(text)}"

    def write(self, cursor: Cursor) -> str:
        position = cursor.position
        return f"{self.batch(cursor.life, cursor.feed, position.seen, position.until)}.{position.seq}"

    def read(self, cursor: str) -> Cursor:
        """What a cursor says. One that was signed with another secret, or by a release whose cursors said
        other things, is of no life that is known.

        Raises:
            InvalidQuery: it is no cursor.
        """
        parts = _CURSOR.fullmatch(cursor)
        if parts is None:
            raise InvalidQuery(
                "The cursor cannot be read.", hint="Send the id of an event as it came, or begin without a cursor."
            )
        text, signature, seq = parts.groups()
        if not hmac.compare_digest(signature.encode(), self._sign(text.encode()).encode()):
            return Cursor("", "", Position.at("1:1:"))
        life, feed, seen, until = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(" ")
        before = _unpack(seen)
        return Cursor(life, feed, Position(before, _unpack(until) if until else before, int(seq)))

    def _sign(self, text: bytes) -> str:
        return urlsafe_b64encode(hmac.digest(self._key, text, hashlib.sha256)[:_MAC_BYTES]).decode()


def _pack(snapshot: str) -> str:
    """`xmin:xmax:xip,…` with its numbers as distances from `xmin`."""
    xmin, xmax, open_then = snapshot.split(":")
    base = int(xmin)
    numbers = [str(int(number) - base) for number in (xmax, *filter(None, open_then.split(",")))]
    return f"{xmin}:{','.join(numbers)}"


def _unpack(text: str) -> str:
    xmin, _, numbers = text.partition(":")
    base = int(xmin)
    xmax, *open_then = (str(base + int(number)) for number in numbers.split(","))
    return f"{xmin}:{xmax}:{','.join(open_then)}"
