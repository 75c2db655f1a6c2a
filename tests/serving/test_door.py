"""A socket whose door is shut lets nobody new into the line, and loses nobody who stands in it."""

import socket

import pytest

from service.serving import door


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=16)


def test_who_stands_in_line_is_served_and_nobody_joins(listener: socket.socket) -> None:
    with listener:
        port = listener.getsockname()[1]
        in_line = socket.create_connection(("127.0.0.1", port))
        door.shut(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", port), timeout=0.2)
        accepted, _ = listener.accept()
        in_line.sendall(b"in line")
        assert accepted.recv(100) == b"in line"
        accepted.close()
        in_line.close()


def test_a_process_that_goes_on_opens_it_again(listener: socket.socket) -> None:
    with listener:
        door.reopen(listener)
        door.shut(listener)
        door.reopen(listener)
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=5).close()


def test_sockets_of_files_are_left_alone() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        door.shut(listener)
        door.reopen(listener)
