"""A small load generator: raw HTTP/1.1 over asyncio, every answer checked, every lost request counted."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.serving.bundles import SLOPE


@dataclass
class Tally:
    """What a load saw.

    Attributes:
        answers: Number of complete 200 answers.
        lost: Requests that were sent and got no whole answer, or another status, with the reason.
        versions: Answers by version.
        mixed: Answers whose prediction is not of the version they name.
    """

    answers: int = 0
    lost: list[str] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)
    mixed: int = 0

    def count(self, answer: Any) -> None:
        """Count an answer of a model that predicts its own version."""
        self.answers += 1
        self.versions[answer["version"]] = self.versions.get(answer["version"], 0) + 1
        self.mixed += any(entry["prediction"] % SLOPE != answer["version"] for entry in answer["predictions"])


class Connection:
    """One HTTP/1.1 connection, opened when needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def connect(self) -> None:
        """Open the connection; a no-op when it is open."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send one request and read its answer; a `connection: close` in it is obeyed."""
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        content = await reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return int(head.split()[1]), content

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _client(port: int, model: str, going: Callable[[], bool], tally: Tally, *, pause: float, renew: bool) -> None:
    """Ask one request after the other; with `renew` each on a connection of its own."""
    connection = Connection(port)
    body = b'{"features": [[1.0], [2.0]]}'
    while going():
        try:
            await connection.connect()
        except OSError:
            break
        try:
            status, content = await connection.post(f"/v1/models/{model}/predict", body)
        except (OSError, asyncio.IncompleteReadError) as error:
            tally.lost.append(repr(error))
            break
        if status == 200:
            tally.count(json.loads(content))
        else:
            tally.lost.append(f"{status} {content!r}")
        if renew:
            connection.close()
        await asyncio.sleep(pause)
    connection.close()


async def load(  # what is asked, how long, by how many, and where it is counted
    port: int,
    model: str,
    going: Callable[[], bool],
    *,
    clients: int,
    pause: float = 0.0,
    tally: Tally | None = None,
) -> Tally:
    """Ask while `going`; a client whose connection is refused stops, and loses nothing.

    Half of the clients keep their connection, half open one a request.

    Args:
        port: Where the server listens.
        model: A model that predicts its own version.
        going: Asked before every request.
        clients: Number of clients at the same time.
        pause: Seconds a client rests after an answer.
        tally: Where to count; a new one when left out.
    """
    tally = tally or Tally()
    tasks = [_client(port, model, going, tally, pause=pause, renew=bool(number % 2)) for number in range(clients)]
    await asyncio.gather(*tasks)
    return tally
