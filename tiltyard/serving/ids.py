"""Ids of predictions: unique over all workers and machines, without asking anybody."""

import os
from itertools import count


class Ids:
    """Ids of one process: 64 random bits, and a count.

    Example:
        >>> ids = Ids()
        >>> ids.next() != ids.next()
        True
    """

    def __init__(self) -> None:
        self._prefix = os.urandom(8).hex()
        self._count = count()

    def next(self) -> str:
        """Return an id that no process has given before, as far as 64 random bits can tell."""
        return f"{self._prefix}{next(self._count):08x}"
