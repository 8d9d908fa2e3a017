"""The local cache of bundles, from which a server starts when registry and object store are down."""

import os
import shutil
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import tiltyard
from tiltyard.bundle.manifest import MANIFEST, read_bundle
from tiltyard.errors import BundleError, ServingError

_INCOMING = ".incoming"
_VERIFIED = ".verified"
_ENGINE = ", ".join([tiltyard.__version__, *(f"{name} {metadata.version(name)}" for name in ("onnxruntime", "numpy"))])


class BundleCache:
    """Verified copies of bundles, one folder a version: `<root>/<model>/<version>-<digest>`.

    A bundle arrives beside its place and is renamed into it when it is whole, so that nobody ever sees half of one.

    Args:
        root: The cache's folder; made when it is not there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._fetching = threading.Lock()

    def find(self, name: str, version: int, digest: str) -> Path | None:
        """Return the folder of a cached bundle that is whole; one that is damaged is removed.

        Args:
            name: Model.
            version: Version in the registry.
            digest: Digest the bundle must have; when empty, any bundle of this version will do.
        """
        for folder in sorted(self._root.joinpath(name).glob(f"{version}-{digest[:16]}*")):
            try:
                found = read_bundle(folder).manifest.digest
            except BundleError:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            if digest in {"", found}:
                return folder
        return None

    def fetch(self, name: str, version: int, download: Callable[[Path], Path]) -> tuple[Path, str]:
        """Download a bundle and keep it.

        Args:
            name: Model.
            version: Version in the registry.
            download: Writes the bundle below an empty folder, and returns where.

        Returns:
            The bundle's folder and its digest.

        Raises:
            BundleError: What was downloaded is no bundle, or a damaged one; it is not kept.
            ServingError: The disk is full or the cache cannot be written.
        """
        with self._fetching:
            return self._fetch(name, version, download)

    def _fetch(self, name: str, version: int, download: Callable[[Path], Path]) -> tuple[Path, str]:
        incoming = self._root / f"{_INCOMING}-{os.getpid()}"
        shutil.rmtree(incoming, ignore_errors=True)
        try:
            incoming.mkdir(parents=True)
            source = download(incoming)
            digest = read_bundle(source).manifest.digest
            place = self._root / name / f"{version}-{digest[:16]}"
            place.parent.mkdir(exist_ok=True)
            if self.find(name, version, digest) is None:
                source.replace(place)
            return place, digest
        except OSError as error:
            raise ServingError(
                f"the cache cannot be written ({error.strerror})", where=str(self._root), cure="Free the disk."
            ) from error
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def is_verified(self, digest: str) -> bool:
        """Whether a bundle of this digest has passed its verification on this machine, with the libraries of now."""
        try:
            return self._mark(digest).read_text(encoding="utf-8") == _ENGINE
        except (OSError, UnicodeDecodeError):
            return False

    def remember(self, digest: str) -> None:
        """Note that a bundle of this digest has passed; where that cannot be written, it is verified once more."""
        with suppress(OSError):
            self._mark(digest).parent.mkdir(parents=True, exist_ok=True)
            self._mark(digest).write_text(_ENGINE, encoding="utf-8")

    def _mark(self, digest: str) -> Path:
        return self._root / _VERIFIED / digest

    def prune(self, name: str, keep: Collection[Path]) -> None:
        """Remove a model's bundles but those in `keep` and the latest other one, for a quick way back."""
        folders = [folder for folder in self._root.joinpath(name).glob("*-*") if folder not in keep]
        for folder in sorted(folders, key=_age)[1:]:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove downloads that a killed sidecar left behind."""
        for folder in self._root.glob(f"{_INCOMING}-*"):
            if not _alive(int(folder.name.rpartition("-")[2])):
                shutil.rmtree(folder, ignore_errors=True)


def holds(folder: Path) -> bool:
    """Whether a bundle is still there, at a glance."""
    return folder.joinpath(MANIFEST).is_file()


def _age(folder: Path) -> float:
    """Return a folder's age for sorting, the youngest first."""
    try:
        return -folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _alive(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
