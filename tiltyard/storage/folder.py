"""Objects as files of a local (or shared) folder."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from tiltyard.errors import ConflictError, StorageError
from tiltyard.storage.base import Store
from tiltyard.storage.keys import check_key, check_prefix

UNFINISHED = ".unfinished"
"""Folder of files that are being written; on the same file system as the objects, and never listed."""

_STALE_SECONDS = 24 * 3600.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FolderStore(Store):
    """A folder as object store.

    An object is written to a file aside, flushed to disk, and then renamed (`write`) or hard-linked (`create`) into
    place: both are atomic, and the link fails when the name is taken, which makes `create` a compare-and-swap
    between processes, and between machines on a shared file system.

    Args:
        root: The folder; made when it is not there.

    Raises:
        StorageError: The folder cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._unfinished = self.root / UNFINISHED
        with self._explained("", "open"):
            self._unfinished.mkdir(parents=True, exist_ok=True)
            self._drop_stale()

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        path = self._path(key)
        with self._explained(key, "read"):
            return path.read_bytes()

    def write(self, key: str, content: bytes) -> None:
        """Write an object, replacing one that is there."""
        with self._explained(key, "write"), self._aside(key) as (file, target):
            file.write(content)
            _settle(file)
            Path(file.name).replace(target)
            _flush_folder(target.parent)

    def create(self, key: str, content: bytes) -> None:
        """Write an object that must not be there yet.

        Raises:
            ConflictError: The key is taken; nothing was written.
        """
        with self._explained(key, "create"), self._aside(key) as (file, target):
            file.write(content)
            _settle(file)
            try:
                target.hardlink_to(file.name)
            except FileExistsError:
                raise ConflictError(
                    f"`{key}` exists already: somebody else was first", cure="Look at the present state and try again."
                ) from None
            _flush_folder(target.parent)

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        path = self._path(key)
        with self._explained(key, "look for"):
            return path.is_file()

    def list(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        folder = self.root / check_prefix(prefix)
        with self._explained(prefix, "list"):
            files = [path for path in folder.rglob("*") if path.is_file()]
        keys = (path.relative_to(self.root).as_posix() for path in files)
        return sorted(key for key in keys if not key.startswith(f"{UNFINISHED}/"))

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        path = self._path(key)
        with self._explained(key, "delete"):
            path.unlink(missing_ok=True)

    def upload(self, file: Path, key: str) -> None:
        """Write a file's content under a key, replacing what is there."""
        with self._explained(key, "write"), file.open("rb") as source, self._aside(key) as (copy, target):
            shutil.copyfileobj(source, copy)
            _settle(copy)
            Path(copy.name).replace(target)
            _flush_folder(target.parent)

    def fetch(self, key: str) -> Path:
        """Return the object's own file, to be read only."""
        path = self._path(key)
        if not self.exists(key):
            raise self._absent(key)
        return path

    def _path(self, key: str) -> Path:
        """Return the file of a key."""
        if check_key(key).split("/", maxsplit=1)[0] == UNFINISHED:
            raise StorageError(f"`{key}` is not a key: `{UNFINISHED}` is kept for files that are being written")
        return self.root / key

    @contextmanager
    def _aside(self, key: str) -> Iterator[tuple[IO[bytes], Path]]:
        """Open a file aside for the content of a key; it is gone afterwards, whatever happens."""
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished.mkdir(exist_ok=True)
        file = NamedTemporaryFile(dir=self._unfinished, delete=False)  # noqa: SIM115  # closed before the rename
        try:
            yield file, target
        finally:
            _close(file)
            Path(file.name).unlink(missing_ok=True)

    def _drop_stale(self) -> None:
        """Remove what writers that were killed have left aside."""
        now = time.time()
        for path in self._unfinished.iterdir():
            with suppress(FileNotFoundError):  # a writer has just finished it
                if now - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()

    def _absent(self, key: str) -> StorageError:
        return StorageError(f"there is no object `{key}`", where=str(self.root), cure="Was it deleted, or the store?")

    @contextmanager
    def _explained(self, key: str, verb: str) -> Iterator[None]:
        """Turn the operating system's refusals into sentences."""
        try:
            yield
        except FileNotFoundError as error:
            raise self._absent(key) from error
        except OSError as error:
            what = f"cannot {verb} `{key}` ({error.strerror})" if key else f"cannot {verb} the store ({error.strerror})"
            full = error.errno in _FULL
            cure = "Free some space and try again; what was there before is untouched." if full else _cure(error)
            raise StorageError(what, where=str(self.root), cure=cure) from error


def _cure(error: OSError) -> str:
    """Say what to do about a refusal of the operating system."""
    if error.errno in {errno.EISDIR, errno.ENOTDIR, errno.EEXIST}:
        return "In a folder, a key cannot also be the prefix of another."
    return "Check that the folder is there, writable, and on a file system with hard links."


def _settle(file: IO[bytes]) -> None:
    """Bring a file to the disk before it gets its name."""
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _close(file: IO[bytes]) -> None:
    """Close a file of which nothing is wanted any more, also when its last bytes found no room."""
    try:
        file.close()
    except OSError as error:
        if error.errno not in _FULL:
            raise


def _flush_folder(folder: Path) -> None:
    """Bring a new name to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
