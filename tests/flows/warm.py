"""A process that has imported everything, and forks a child for each training that is to end badly.

Reads a line of JSON per training: `project`, and either `die_after` (module and step after whose work the child is
killed by `kill -9`, before anybody took note of it) or `file_bytes` (no file may grow beyond this). Answers with a
line of JSON: `status` (exit code, or minus the signal) and `error` (what the child wrote to stderr).
"""

import functools
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from flows.training import train  # noqa: F401  # imported once, for all children
from tiltyard.cli.app import main as tiltyard


def kill_after(module: str, step: str) -> None:
    """Let a step's work be the last thing this process does."""
    task = getattr(importlib.import_module(f"tasks.{module}"), step).task
    work = task.fn

    @functools.wraps(work)
    def deadly(*arguments: Any, **options: Any) -> None:
        work(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    task.fn = deadly


def run(order: dict[str, Any]) -> int:
    """Do what an order says, in the child."""
    if "die_after" in order:
        kill_after(*order["die_after"])
    if "file_bytes" in order:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_bytes"], order["file_bytes"]))
    return tiltyard(["train", "--project", order["project"]])


def main() -> None:
    """Answer orders until there are no more."""
    for line in sys.stdin:
        with tempfile.TemporaryFile() as errors:
            child = os.fork()
            if child == 0:
                os.dup2(errors.fileno(), 2)
                os.dup2(errors.fileno(), 1)
                os._exit(run(json.loads(line)))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            errors.seek(0)
            answer = {"status": status, "error": errors.read().decode(errors="replace")}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
