"""What the sidecar asks of registry and ledger: who is champion, its bundle, and a place for a refusal's reason."""

import socket
from functools import cached_property
from pathlib import Path

from tiltyard.errors import BundleError, RegistryError
from tiltyard.project.environment import Workplace
from tiltyard.registry import models
from tiltyard.registry.by_hand import settle
from tiltyard.registry.client import Registry, connect
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.records import ModelRef
from tiltyard.storage.base import Store
from tiltyard.storage.opening import open_store

BUNDLE_DIGEST = "tiltyard.bundle_digest"
"""Tag of a version: digest of its bundle's manifest. Set at registration; a bundle that differs is refused."""

SERVING_REFUSED = "tiltyard.serving_refused"
"""Tag of a version: why the model servers refuse it."""


class Champions:
    """Registry and ledger as the sidecar sees them; opened when first needed, and anew after a failure to open.

    Args:
        workplace: Addresses in force.
    """

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._ledgers: dict[str, Ledger] = {}

    @cached_property
    def _registry(self) -> Registry:
        return connect(self._workplace)

    @cached_property
    def _store(self) -> Store:
        endpoint = self._workplace.environment.s3_endpoint
        return open_store(self._workplace.store, endpoint=endpoint, cache=self._workplace.cache)

    def champion(self, name: str) -> ModelRef | None:
        """Return a model's champion, None when there is none.

        Raises:
            RegistryError: The registry cannot be reached or refuses.
        """
        return models.champion(self._registry, name)

    def bundle_digest(self, ref: ModelRef) -> str:
        """Return the digest that a version's tag promises; empty when it has no such tag.

        Raises:
            RegistryError: There is no such version, or the registry cannot be reached.
        """
        return models.version(self._registry, ref).tags.get(BUNDLE_DIGEST, "")

    def download(self, ref: ModelRef, folder: Path) -> Path:
        """Download a version's bundle below `folder` and return where it is.

        Raises:
            BundleError: The version never had a bundle: somebody registered it without Tiltyard.
            RegistryError: The registry or its artifacts cannot be reached.
        """
        try:
            return models.download_bundle(self._registry, ref, folder / "bundle")
        except RegistryError as error:
            if self.bundle_digest(ref):
                raise
            raise BundleError(
                f"{ref} has no bundle that can be downloaded ({error.what})",
                cure="Only versions that Tiltyard registered can be served.",
            ) from error

    def record_move(self, name: str) -> None:
        """Write a move of the alias into the ledger when it was made by hand and nobody has written it yet.

        Raises:
            RegistryError: The registry or the ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        settle(self._ledger(name), self._registry)

    def report_refusal(self, ref: ModelRef, reason: str) -> None:
        """Write into the ledger and on the version's tag why it is not served; once, however many servers refuse it.

        Raises:
            RegistryError: The registry or the ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        if models.version(self._registry, ref).tags.get(SERVING_REFUSED) == reason:
            return
        actor = self._workplace.environment.actor or f"model server on {socket.gethostname()}"
        self._ledger(ref.name).append("refused", actor=actor, version=ref.version, reason=reason)
        models.set_tags(self._registry, ref, {SERVING_REFUSED: reason})

    def _ledger(self, name: str) -> Ledger:
        """Return a model's ledger; what was read of it once is kept."""
        if name not in self._ledgers:
            self._ledgers[name] = Ledger(self._store, name)
        return self._ledgers[name]
