"""The end of a listening socket without a loss.

Whoever closes one resets the connections that the system has completed and nobody has accepted yet, and the requests in
them are lost. So newcomers are turned away some time before: their first packet (SYN) is dropped by a filter on the
socket, all other packets pass, and the workers accept what is there. A newcomer's system sends the packet again a
second later, and is then told that nobody listens.
"""

import ctypes
import socket
import struct
import sys
from contextlib import suppress

_SO_ATTACH_FILTER = 26
_FLAGS = 13
"""Offset of the flags in a TCP header (RFC 9293, section 3.1)."""

_SYN, _ACK = 0x02, 0x10
_LOAD_BYTE, _AND, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06
_ALL = 0xFFFFFFFF

_PROGRAM = (
    (_LOAD_BYTE, 0, 0, _FLAGS),
    (_AND, 0, 0, _SYN | _ACK),
    (_JUMP_IF_EQUAL, 0, 1, _SYN),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, _ALL),
)
"""Classic BPF, as Linux has it on sockets (`Documentation/networking/filter.rst`): operation, jumps, operand."""


def turn_newcomers_away(listener: socket.socket) -> None:
    """Let a listening socket, and all that share it, complete no further connection.

    Where there is no such filter, the queue of newcomers is made as short as can be.
    """
    listener.listen(0)
    if sys.platform == "linux":
        program = b"".join(struct.pack("HBBI", *step) for step in _PROGRAM)
        memory = ctypes.create_string_buffer(program)
        told = struct.pack("HL", len(_PROGRAM), ctypes.addressof(memory))
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, told)
