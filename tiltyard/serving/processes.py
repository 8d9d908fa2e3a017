"""What every process of a server has in common: one log format, and ending when its parent is gone."""

import logging
import os
import sys


def start_log(role: str) -> None:
    """Log to standard error, one line an event, with time, process and role."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format=f"%(asctime)s %(levelname)-7s {role}[%(process)d] %(message)s",
        force=True,
    )


def orphaned(parent: int) -> bool:
    """Whether the process that started this one is gone: the system gives an orphan another parent."""
    return os.getppid() != parent
