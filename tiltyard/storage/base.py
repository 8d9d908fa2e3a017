"""The promise of an object store."""

from abc import ABC, abstractmethod
from pathlib import Path


class Store(ABC):
    """Objects by key. Two implementations stand behind it: a folder and S3.

    Keys are relative, `/`-separated, without `..`; anything else raises `StorageError`. What is written is there
    as a whole or not at all, for every reader at every moment. Every method raises `StorageError`, with the key
    and the cure, when the store cannot be reached, is full or refuses.
    """

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Return an object's content; raises `StorageError` when there is none."""

    @abstractmethod
    def write(self, key: str, content: bytes) -> None:
        """Write an object, replacing one that is there."""

    @abstractmethod
    def create(self, key: str, content: bytes) -> None:
        """Write an object that must not be there yet; of two at once exactly one succeeds.

        Raises:
            ConflictError: The key is taken; nothing was written.
        """

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether there is such an object."""

    @abstractmethod
    def list(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted: `a/b` holds `a/b/c` but not `a/bc`; empty for the whole store."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    @abstractmethod
    def upload(self, file: Path, key: str) -> None:
        """Write a file's content under a key, replacing what is there, without reading it into memory."""

    @abstractmethod
    def fetch(self, key: str) -> Path:
        """Return a local file with the object's content, to be read only; raises `StorageError` when there is none."""
