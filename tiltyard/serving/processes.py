"""What every process of a server has in common: one log format, and ending when its parent is gone."""

import logging
import os
import signal
import sys
from contextlib import suppress


def start_log(role: str) -> None:
    """Log to standard error, one line an event, with time, process and role."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format=f"%(asctime)s %(levelname)-7s {role}[%(process)d] %(message)s",
        force=True,
    )


def hold_back_end() -> None:
    """Let SIGTERM wait, over the start of another program too, until `hear_end`: what is told early is not lost."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def hear_end() -> None:
    """Let SIGTERM come, and the one that has waited at once."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def give_hint(mouth: int) -> None:
    """Write one byte into a pipe that never waits; whoever listens at its other end need not be there."""
    with suppress(OSError):
        os.write(mouth, b"!")


def orphaned(parent: int) -> bool:
    """Whether the process that started this one is gone: the system gives an orphan another parent."""
    return os.getppid() != parent
