"""One file of the prediction log: whole lines, or none, and nobody else writes it."""

import os
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path

from tiltyard.predictions.files import OPEN, SEALED, flush_folder, is_file_of, lock


class Segment:
    """One file that this process writes, and nobody else while it lives.

    Args:
        folder: Folder of the segments.
        name: Its name, without an ending.
        opened: When it was opened, on the log's clock.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, folder: Path, name: str, opened: float) -> None:
        self.path = folder / f"{name}{OPEN}"
        self.opened = opened
        self.known: set[Hashable] = {None}
        self.size = 0
        self.synced = 0
        self.named = False
        self.torn = False
        self.failed = False
        self._descriptor = _locked(self.path)

    def write(self, content: bytes) -> None:
        """Append whole lines.

        Raises:
            OSError: They could not be written; what was written of them is taken back, or the segment is `torn`.
        """
        written = 0
        try:
            while written < len(content):
                written += os.write(self._descriptor, content[written:] if written else content)
        except OSError:
            self._take_back()
            raise
        self.size += written

    def sync(self) -> None:
        """Bring to the disk what was written so far, and the file's name; one that cannot be is `failed` for good.

        A second flush after one that failed may say that all is well, of pages that the kernel has given up.
        """
        if self.failed:
            return
        size = self.size
        try:
            if self.synced < size:
                os.fdatasync(self._descriptor)
            if not self.named:
                flush_folder(self.path.parent)
            self.synced, self.named = size, True
        except OSError:
            self.failed = True

    def is_there(self) -> bool:
        """Whether the file still has its name; nobody but a person takes it away."""
        try:
            return is_file_of(self._descriptor, self.path)
        except OSError:
            return False

    def end(self) -> None:
        """Seal the segment; one that is torn is left to recovery."""
        with suppress(OSError):  # it stays as it is, and recovery seals it
            if not self.torn:
                self.path.rename(self.path.with_suffix(SEALED))
        with suppress(OSError):
            os.close(self._descriptor)

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            self.torn = True


def _locked(path: Path) -> int:
    """Make a file and hold its lock.

    Recovery removes an empty file that nobody holds, also in the moment before it is locked; then it is made again.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        try:
            lock(descriptor, wait=True)
            ours = is_file_of(descriptor, path)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        if ours:
            return descriptor
        os.close(descriptor)
