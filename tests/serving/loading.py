"""A load beside a test: requests on a thread, from the start until the test has seen enough."""

import asyncio
import threading

from tests.serving.load import Tally, load
from tests.serving.servers import Server


class Load:
    """A load on a thread, from the first answer until `stop`."""

    def __init__(self, server: Server, *, clients: int = 8, pause: float = 0.0) -> None:
        self._going = True
        self.tally = Tally()
        self._thread = threading.Thread(target=self._run, args=(server.port, clients, pause))
        self._thread.start()

    def _run(self, port: int, clients: int, pause: float) -> None:
        asyncio.run(load(port, "demand", lambda: self._going, clients=clients, pause=pause, tally=self.tally))

    def stop(self) -> Tally:
        """End the load and return what it saw."""
        self._going = False
        self._thread.join()
        return self.tally
