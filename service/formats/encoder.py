"""What makes a format of rows as COPY writes them."""

from collections.abc import Iterable
from typing import Protocol


class Encoder(Protocol):
    """Takes blocks of whole rows. It works in threads, one call at a time."""

    def encode(self, block: bytes) -> Iterable[bytes]:
        """What can be sent after these rows. Nothing is done before it is iterated over, in a thread."""

    def end(self) -> Iterable[bytes]:
        """What is sent at the end."""

    def close(self) -> None:
        """Let go of what it holds, also where the export was broken off."""
