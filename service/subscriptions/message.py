"""Messages and their signatures (Standard Webhooks 1.0.0)."""

import base64
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from uuid import UUID

import orjson

from service.events.event import Event, Kind

_PURPOSE = b"rowhouse webhook secret"
_PREFIX = "whsec_"
_PAST = {Kind.INSERT: "inserted", Kind.UPDATE: "updated", Kind.DELETE: "deleted"}
PING = "ping"
GAP = "rowhouse.gap"


@dataclass(frozen=True, slots=True)
class Message:
    """What a webhook is sent. `keys` are hashes of the keys of the rows concerned, two at most."""

    id: str
    type: str
    body: str
    keys: tuple[bytes, ...] = ()

    @classmethod
    def of_change(cls, webhook: UUID, life: str, seq: int, table: str, event: Event) -> "Message":
        """The message of change number `seq` in the life of the cluster."""
        name = f"{table}.{_PAST[event.kind]}"
        hashes = tuple(blake2b(key, digest_size=16).digest() for key in event.keys)
        return cls(_identity(webhook, life, str(seq)), name, _body(name, event.at, orjson.Fragment(event.body)), hashes)

    @classmethod
    def of_gap(cls, webhook: UUID, life: str, place: str, table: str) -> "Message":
        """Changes may be missing before this place in the log: the receiver has to read the rows again."""
        explained = {"table": table, "message": "Changes before this may be missing: read the rows again."}
        return cls(_identity(webhook, life, place), GAP, _body(GAP, _now(), explained))

    @classmethod
    def of_ping(cls, webhook: UUID) -> "Message":
        """A trial."""
        now = _now()
        return cls(_identity(webhook, PING, now), PING, _body(PING, now, {"webhook": str(webhook)}))


class Secrets:
    """The webhooks' secrets, derived from JWT_SECRET: none is stored, and another JWT_SECRET makes others."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), _PURPOSE, "sha256")

    def secret(self, webhook: UUID, generation: int) -> str:
        """The secret as the receiver has it: `whsec_` and 32 bytes in base64."""
        return _PREFIX + base64.b64encode(self._bytes(webhook, generation)).decode()

    def headers(
        self, webhook: UUID, generation: int, message: str, body: bytes, at: datetime, *, is_overlap: bool
    ) -> dict[str, str]:
        """The headers of an attempt, signed with the secret and, in overlap, with the one before it too."""
        timestamp = str(int(at.timestamp()))
        content = b"%s.%s.%s" % (message.encode(), timestamp.encode(), body)
        generations = (generation, generation - 1) if is_overlap else (generation,)
        digests = (hmac.digest(self._bytes(webhook, one), content, "sha256") for one in generations)
        return {
            "webhook-id": message,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
        }

    def _bytes(self, webhook: UUID, generation: int) -> bytes:
        return hmac.digest(self._key, f"{webhook}.{generation}".encode(), "sha256")


def event_id(body: bytes) -> str | None:
    """The id of the feed's event in a message; None where it is of no change."""
    data = orjson.loads(body).get("data", {})
    found: str | None = data.get("id")
    return found


def _identity(*parts: object) -> str:
    """Always the same for the same: receivers know by it what they have had already."""
    return f"msg_{blake2b('/'.join(map(str, parts)).encode(), digest_size=16).hexdigest()}"


def _body(name: str, at: str, data: object) -> str:
    return orjson.dumps({"type": name, "timestamp": at, "data": data}).decode()


def _now() -> str:
    return datetime.now(UTC).isoformat()
