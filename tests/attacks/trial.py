"""Loads hostile bundles in a process that notes everything a model's code could do: `python trial.py FOLDER GOOD`.

Prints one line of JSON: by bundle the refusal, what was done meanwhile, and how much the process's memory grew.
"""

import json
import os
import resource
import site
import sys
from pathlib import Path
from typing import Any

from tiltyard.bundle.runtime import Runtime
from tiltyard.bundle.sandbox import MEMORY_BYTES
from tiltyard.errors import BundleError

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FORBIDDEN = (
    *("compile", "pickle.", "marshal.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty."),
    *("subprocess.", "socket.", "ctypes.", "os.remove", "os.rename", "os.mkdir", "os.link", "os.symlink", "os.chmod"),
    *("os.putenv", "shutil.", "tempfile.", "urllib.", "http.", "ftplib.", "webbrowser.", "code.__new__", "signal."),
)
_OURS = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), "<frozen", *site.getsitepackages())


class Watch:
    """Notes what happens while it is awake.

    Args:
        folder: The only place that may be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self.awake = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.awake:
            return
        if event == "open":
            path, _, flags = arguments
            inside = isinstance(path, int) or str(path).startswith((self._folder, *_OURS))
            if flags & _WRITING or not inside:
                self.seen.append(f"open {path} {flags}")
        elif event == "exec":
            if not arguments[0].co_filename.startswith(_OURS):
                self.seen.append(f"exec {arguments[0].co_filename}")
        elif event.startswith(_FORBIDDEN):
            self.seen.append(event)


def attempt(folder: Path) -> str:
    """Load a bundle and answer its golden rows; return the refusal, empty when there is none."""
    try:
        Runtime.load(folder).replay()
    except BundleError as error:
        return str(error)
    return ""


def main(folder: Path, good: Path) -> None:
    """Load the good bundle first, so that what a first load imports is there, then all others."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    assert not attempt(good)
    assert attempt(folder / "absent")
    watch, found = Watch(folder), {}
    for bundle in sorted(folder.iterdir()):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        watch.seen, watch.awake = [], True
        sentence = attempt(bundle)
        watch.awake = False
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        found[bundle.name] = {"sentence": sentence, "seen": watch.seen, "grown": grown}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
