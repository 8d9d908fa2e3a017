"""A load that keeps every acknowledged prediction's id, whatever becomes of the server meanwhile."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from tests.serving.load import Connection
from tiltyard.storage.base import Store

ROWS = 2
BODY = json.dumps({"features": [[float(row)] for row in range(ROWS)]}).encode()


class Acknowledged:
    """Clients that ask on and on, and connect again when their server dies.

    Args:
        port: Says where the server listens now.
        model: What is asked.
        clients: How many at once.
    """

    def __init__(self, port: Callable[[], int], model: str, *, clients: int = 8) -> None:
        self._port = port
        self._path = f"/v1/models/{model}/predict"
        self._clients = clients
        self._going = True
        self.ids: list[str] = []
        self.refused: Counter[int] = Counter()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask_all()))

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ask no more."""
        self._going = False
        self._thread.join()

    def has(self, count: int) -> bool:
        """Whether so many requests are acknowledged."""
        return len(self.ids) >= count

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self._ask() for _ in range(self._clients)))

    async def _ask(self) -> None:
        while self._going:
            connection = Connection(self._port())
            try:
                await connection.connect()
                while self._going:
                    await self._once(connection)
            except (OSError, EOFError, asyncio.IncompleteReadError, AttributeError, AssertionError):
                await asyncio.sleep(0.02)
            finally:
                connection.close()

    async def _once(self, connection: Connection) -> None:
        status, content = await connection.post(self._path, BODY)
        if status == 200:
            self.ids.append(json.loads(content)["id"])
        else:
            self.refused[status] += 1
        await asyncio.sleep(0.002)


def stored(store: Store, model: str) -> Counter[str]:
    """Return how often the store has each prediction, as its objects have it: nothing is merged."""
    found: Counter[str] = Counter()
    for key in store.list(f"predictions/{model}"):
        found.update(pq.read_table(pa.BufferReader(store.read(key))).column("id").to_pylist())
    return found
