"""What the sidecar asks of registry and ledger: who is champion, its bundle, and a place for a refusal's reason."""

import socket
from functools import cached_property
from pathlib import Path

from tiltyard.errors import BundleError, RegistryError
from tiltyard.project.environment import Workplace
from tiltyard.project.gates import GatesSection
from tiltyard.registry import models
from tiltyard.registry.by_hand import POLICY, Settlement, is_by_hand, put_back, replaced_by, settle
from tiltyard.registry.client import Registry, connect
from tiltyard.registry.copies import WAITS, note_copies, obstacle, waiting_copy
from tiltyard.registry.history import MADE, MOVES, fold
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.promotion import promote
from tiltyard.registry.proof import bundle_of
from tiltyard.registry.records import Glance, ModelRef
from tiltyard.registry.refusals import note_refusal
from tiltyard.storage.base import Store
from tiltyard.storage.opening import open_store


class Champions:
    """Registry and ledger as the sidecar sees them; opened when first needed, and anew after a failure to open.

    Args:
        workplace: Addresses in force.
    """

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._ledgers: dict[str, Ledger] = {}

    @cached_property
    def registry(self) -> Registry:
        """The connection to MLflow."""
        return connect(self._workplace)

    @cached_property
    def store(self) -> Store:
        """The object store."""
        endpoint = self._workplace.environment.s3_endpoint
        return open_store(self._workplace.store, endpoint=endpoint, cache=self._workplace.cache)

    @property
    def actor(self) -> str:
        """Who acts, for the ledger."""
        return self._workplace.environment.actor or f"model server on {socket.gethostname()}"

    def glance(self, name: str) -> Glance:
        """Return what changes of a model when anybody does anything with its versions or aliases.

        Raises:
            RegistryError: The registry cannot be reached or refuses.
        """
        return models.glance(self.registry, name)

    def bundle_digest(self, ref: ModelRef) -> str:
        """Return the digest that a version's tag, or its source's, promises; empty when neither tells.

        Raises:
            RegistryError: There is no such version, or the registry cannot be reached.
        """
        return bundle_of(self.registry, models.version(self.registry, ref))

    def download(self, ref: ModelRef, folder: Path) -> Path:
        """Download a version's bundle below `folder` and return where it is.

        Raises:
            BundleError: The version never had a bundle: somebody registered it without Tiltyard.
            RegistryError: The registry or its artifacts cannot be reached.
        """
        try:
            return models.download_bundle(self.registry, ref, folder / "bundle")
        except RegistryError as error:
            if self.bundle_digest(ref) or models.has_bundle(self.registry, ref):
                raise
            raise BundleError(
                f"{ref} has no bundle: it is none of Tiltyard's versions",
                cure="Only versions that Tiltyard registered can be served.",
            ) from error

    def settle(self, name: str, gates: GatesSection) -> Settlement:
        """Bring alias and ledger into agreement: record a move that was made by hand, or put it back.

        Raises:
            RegistryError: The registry or the ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        return settle(self.ledger(name), self.registry, gates)

    def may_ask_more(self, ref: ModelRef, slot: int) -> bool:
        """Whether a version may ask other requests than the one that answers here now.

        It may when it was promoted on the record, when it was champion before, and when what answers here is not the
        champion that it replaces: this server was away meanwhile.

        Args:
            ref: The version.
            slot: The version that answers now.

        Raises:
            RegistryError: The registry or the ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        entries = self.ledger(ref.name).entries()
        state = fold(entries)
        if not is_by_hand(state, ref.version) or replaced_by(state, ref.version) != slot:
            return True
        made = models.version(self.registry, ref).created
        moves = (entry for entry in entries if entry.kind in MOVES and entry != state.since)
        return any(entry.version == ref.version and entry.evidence.get(MADE) == made for entry in moves)

    def note_copies(self, name: str) -> tuple[ModelRef, ...]:
        """Write copies made by *Promote model* into the ledger, and return those that nobody had written before.

        Raises:
            RegistryError: The registry or the ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        noted = note_copies(self.ledger(name), self.registry)
        return tuple(ModelRef(name=name, version=entry.version) for entry in noted if entry.version is not None)

    def waiting_copy(self, name: str, gates: GatesSection) -> ModelRef | None:
        """Return the copy that is to become champion because the gate passed it at its source.

        One that has to wait for the alias all the same is told why, by a tag.

        Raises:
            RegistryError: The registry or the ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        entry = waiting_copy(self.ledger(name).entries()) if gates.copied == "gate" else None
        if entry is None or entry.version is None:
            return None
        ref = ModelRef(name=name, version=entry.version)
        reason = obstacle(entry, gates, self._champions_bundle(name))
        if reason is not None and models.version(self.registry, ref).tags.get(WAITS) != reason:
            models.set_tags(self.registry, ref, {WAITS: reason})
        return ref if reason is None else None

    def _champions_bundle(self, name: str) -> str:
        """Return the digest of the champion's bundle; empty when there is no champion."""
        champion = models.champion(self.registry, name)
        return bundle_of(self.registry, models.version(self.registry, champion)) if champion else ""

    def promote_copy(self, ref: ModelRef, gates: GatesSection) -> str:
        """Make a copy champion, and return what was done in words.

        Raises:
            ConflictError: Somebody else is moving the alias; the next look will tell.
            RegistryError: The registry or the ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        ledger = self.ledger(ref.name)
        entry = waiting_copy(ledger.entries())
        if entry is None or entry.version != ref.version or obstacle(entry, gates, self._champions_bundle(ref.name)):
            return f"{ref} is not waiting any more"
        done = promote(
            ledger,
            self.registry,
            ref.version,
            actor=POLICY,
            reason=f"{entry.reason}; the project's `gates.copied` is `gate`",
            expected_champion=ledger.champion(),
            evidence={"copied": entry.sequence},
            gates=gates,
        )
        return done.sentence

    def report_refusal(self, ref: ModelRef, reason: str) -> None:
        """Write into the ledger and on the version's tag why it is not served; once, however many servers refuse it.

        Raises:
            RegistryError: The registry or the ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        note_refusal(self.ledger(ref.name), self.registry, ref, reason, actor=self.actor)

    def put_back(self, ref: ModelRef, reason: str) -> bool:
        """Return the alias to the champion before, when it was a hand that set it on a version that is refused.

        Raises:
            RegistryError: The registry or the ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        return put_back(self.ledger(ref.name), self.registry, ref, f"version {ref.version} cannot be served: {reason}")

    def ledger(self, name: str) -> Ledger:
        """Return a model's ledger; what was read of it once is kept."""
        if name not in self._ledgers:
            self._ledgers[name] = Ledger(self.store, name)
        return self._ledgers[name]
