"""How far a long step is, for whoever listens: a progress bar, a log.

A listener is no argument of a step, because arguments identify a step's result and travel to Prefect.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tiltyard.training.problem import Progress

Listener = Callable[[Progress | int], None]
"""Told a search's progress, or the number of rows answered so far."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener how far the steps started inside are."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(progress: Progress | int) -> None:
    """Tell the listener, when there is one."""
    listener = _listener.get()
    if listener is not None:
        listener(progress)
