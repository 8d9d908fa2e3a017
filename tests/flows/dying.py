"""Run a training that is killed by `kill -9` right after a step has done its work, before anybody took note of it.

python dying.py PROJECT MODULE STEP
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.training import train


def main() -> None:
    """Train, and die where asked."""
    project, module, name = sys.argv[1:]
    task = getattr(importlib.import_module(f"tasks.{module}"), name)
    work: Callable[..., Any] = task.fn

    def deadly(*arguments: Any, **options: Any) -> None:
        work(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    deadly.__name__ = work.__name__
    deadly.__signature__ = importlib.import_module("inspect").signature(work)  # type: ignore[attr-defined]
    task.fn = deadly
    train(Path(project))


if __name__ == "__main__":
    main()
