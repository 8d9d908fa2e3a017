"""How far a long step is, for whoever listens: a progress bar, a log.

A listener is no argument of a step, because arguments identify a step's result and travel to Prefect.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tiltyard.training.problem import Progress

Listener = Callable[[Progress | int], None]
"""Told a search's progress, or the number of rows answered so far."""

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener, beside those there are already, how far the steps started inside are."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def tell(progress: Progress | int) -> None:
    """Tell whoever listens."""
    for listener in _listeners.get():
        listener(progress)
