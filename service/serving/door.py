"""A listening socket that lets nobody new into the line, so that it can be closed when the line is empty.

A connection that the kernel has made, and nobody has accepted yet, is reset when the last process that listens closes
the socket; a proxy that has sent a POST on it cannot send it again. So before a server closes the socket, a filter
drops attempts at new connections (Linux, `man 7 socket`, SO_ATTACH_FILTER) while those in the line are accepted. Who
was dropped tries again a second later, and is refused, which every proxy takes for leave to go elsewhere; or accepted,
where another process goes on with the same socket: it opens the door again.
"""

import ctypes
import socket
import struct
import sys
from contextlib import suppress

_ATTACH_FILTER = 26
_DETACH_FILTER = 27
_SYN = 0x02
# Classic BPF: the byte of flags in TCP's header; where SYN is set nothing of the packet is let through, else all.
_PROGRAM = ((0x30, 0, 0, 13), (0x45, 0, 1, _SYN), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def shut(listener: socket.socket) -> None:
    """Let nobody new into the line. Where the system has no such filter, nothing happens."""
    if not _can_be_filtered(listener):
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _PROGRAM))
    with suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", len(_PROGRAM), ctypes.addressof(program))
        )


def reopen(listener: socket.socket) -> None:
    """Let everybody in, whoever has shut it."""
    if _can_be_filtered(listener):
        with suppress(OSError):  # it was open
            listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)


def _can_be_filtered(listener: socket.socket) -> bool:
    return sys.platform == "linux" and listener.family in _FAMILIES
