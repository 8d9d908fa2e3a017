"""The head start: what works beside the workers begins when they answer, and takes no CPU from them before.

The sidecar's libraries take several seconds of CPU to import; on a machine with one CPU the first answer would wait for
half of that.
"""

import asyncio
import os

SECONDS = 5.0
"""Longest head start: workers that cannot begin may need a sidecar that fetches something else."""

_HINTS = 65_536
"""As many as a pipe holds."""


class HeadStart:
    """Waits until all workers have said that they answer.

    Args:
        ear: File descriptor that becomes readable when a worker has said so; the sidecar's own, once it has begun.
        workers: How many there are.

    Attributes:
        over: Set at the end of the head start.
    """

    def __init__(self, ear: int, workers: int) -> None:
        self.over = asyncio.Event()
        self._ear = ear
        self._missing = workers

    def begin(self, seconds: float = SECONDS) -> None:
        """Begin to wait.

        Args:
            seconds: For how long at most.
        """
        loop = asyncio.get_running_loop()
        loop.add_reader(self._ear, self._hear)
        loop.call_later(seconds, self.end)

    def end(self) -> None:
        """End the head start; again does nothing."""
        asyncio.get_running_loop().remove_reader(self._ear)
        self.over.set()

    def _hear(self) -> None:
        self._missing -= len(os.read(self._ear, _HINTS))
        if self._missing <= 0:
            self.end()
