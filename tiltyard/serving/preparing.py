"""Preparing: versions are fetched and verified beside the sidecar's looks, so that a way back never waits for them."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tiltyard.errors import BundleError
from tiltyard.registry.records import ModelRef
from tiltyard.serving.cache import holds


class Prepared(NamedTuple):
    """A version that is fetched and verified.

    Attributes:
        folder: Its bundle.
        digest: Digest of the bundle.
    """

    folder: Path
    digest: str


class Preparer:
    """Fetches and verifies versions, one at a time.

    Args:
        prepare: Fetches and verifies one version.
        beside: On a thread of its own; else whoever asks waits.
    """

    def __init__(self, prepare: Callable[[ModelRef], Prepared], *, beside: bool) -> None:
        self._prepare = prepare
        self._beside = beside
        self._done: dict[ModelRef, Prepared | Exception] = {}
        self._under_way: threading.Thread | None = None

    def of(self, ref: ModelRef) -> Prepared | None:
        """Return a version when it is ready; None while it is under way, or waits for another one.

        Raises:
            BundleError: It does not pass; told again at every call.
            Exception: Whatever else was in the way; the next call tries again.
        """
        found = self._done.get(ref)
        if isinstance(found, Prepared):
            if holds(found.folder):
                return found
            found = None
        if isinstance(found, Exception):
            if not isinstance(found, BundleError):
                del self._done[ref]
            raise found
        self._start(ref)
        return self.of(ref) if ref in self._done and not self._beside else None

    def _start(self, ref: ModelRef) -> None:
        """Prepare a version, unless another one is under way."""
        if not self._beside:
            self._run(ref)
        elif self._under_way is None or not self._under_way.is_alive():
            self._done.pop(ref, None)
            self._under_way = threading.Thread(target=self._run, args=(ref,), name="preparing", daemon=True)
            self._under_way.start()

    def _run(self, ref: ModelRef) -> None:
        try:
            self._done[ref] = self._prepare(ref)
        except Exception as error:  # noqa: BLE001  # told to whoever asks for the version
            self._done[ref] = error
