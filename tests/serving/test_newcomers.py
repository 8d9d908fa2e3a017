"""A listening socket near its end: who is there is answered, who comes is not let in."""

import socket
import sys

import pytest

from tiltyard.serving.newcomers import turn_newcomers_away


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such filter")
def test_who_is_there_is_accepted_and_nobody_else() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=10) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as waiting:
            turn_newcomers_away(listener)
            waiting.sendall(b"late")
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(4) == b"late"
                accepted.sendall(b"answered")
                assert waiting.recv(8) == b"answered"
            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.3)
