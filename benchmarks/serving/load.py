"""A load generator that costs little itself: raw HTTP/1.1 on keep-alive connections, one request at a time on each."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
GRACE_SECONDS = 60.0
"""How long answers are waited for after the last request."""


@dataclass
class Tally:
    """What a load saw.

    Attributes:
        seconds: From the first request to the last answer.
        times: Seconds of every complete 200 answer.
        errors: Number of other answers and lost requests, by what was seen.
        last: Body of the last answer.
    """

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    last: bytes = b""

    def fail(self, what: str) -> None:
        """Count an error."""
        self.errors[what] = self.errors.get(what, 0) + 1


class Client(asyncio.Protocol):
    """One connection that asks until the deadline.

    Args:
        requests: Whole requests, asked in turn.
        deadline: On the monotonic clock.
        tally: What is counted into.
    """

    def __init__(self, requests: Sequence[bytes], deadline: float, tally: Tally) -> None:
        self._requests = requests
        self._deadline = deadline
        self._tally = tally
        self._turn = 0
        self._began = 0.0
        self._received = b""
        self._waiting = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Ask again when the answer is whole."""
        received = self._received = self._received + data if self._received else data
        end = received.find(_END)
        if end < 0 or len(received) < end + 4 + _length(received[:end]):
            return
        now = time.perf_counter()
        self._received, self._waiting = b"", False
        if received.startswith(b"HTTP/1.1 200"):
            self._tally.times.append(now - self._began)
        else:
            self._tally.fail(received[:end].split(b"\r\n", 1)[0].decode("latin-1"))
        self._tally.last = received[end + 4 :]
        if now < self._deadline:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count what was under way as lost."""
        if self._waiting:
            self._tally.fail(f"connection lost ({exc or 'closed'})")
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        self._waiting = True
        self._began = time.perf_counter()
        self._transport.write(self._requests[self._turn % len(self._requests)])
        self._turn += 1


def _length(head: bytes) -> int:
    """Return the announced length of a body."""
    return int(head.lower().split(_LENGTH, 1)[1].split(b"\r\n", 1)[0])


async def ask(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Tally:
    """Ask on several connections at once.

    Args:
        port: Where the server listens on 127.0.0.1.
        requests: Whole requests; every connection begins at another of them.
        connections: How many.
        seconds: For how long new requests are sent.
    """
    tally = Tally()
    began = time.perf_counter()
    clients = []
    for number in range(connections):
        begin = number * len(requests) // connections
        turned = [*requests[begin:], *requests[:begin]]
        client = Client(turned, began + seconds, tally)
        await asyncio.get_running_loop().create_connection(lambda made=client: made, "127.0.0.1", port)  # type: ignore[misc]
        clients.append(client)
    await asyncio.wait([client.done for client in clients], timeout=seconds + GRACE_SECONDS)
    for client in clients:
        if not client.done.done():
            tally.fail("no answer")
    tally.seconds = time.perf_counter() - began
    return tally
