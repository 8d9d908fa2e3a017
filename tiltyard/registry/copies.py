"""Versions that MLflow's *Promote model* copied in: noted in the ledger with the evidence of their source."""

from tiltyard.errors import ConflictError
from tiltyard.project.gates import GatesSection
from tiltyard.registry.by_hand import BY_HAND
from tiltyard.registry.client import Registry
from tiltyard.registry.entry import Entry
from tiltyard.registry.history import MADE, MOVES
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.models import versions
from tiltyard.registry.moving import identity
from tiltyard.registry.proof import find_proof, source_of
from tiltyard.registry.records import Scalar, VersionInfo

PASSED = "passed"
"""Evidence of a copy: whether the gate passed it where it comes from."""

RIVAL = "rival"
"""Evidence of a copy: digest of the bundle of the champion that it was judged against there."""

WAITS = "tiltyard.copy_waits"
"""Tag of a copy: why it waits for the alias although the gate passed it at its source."""


def note_copies(ledger: Ledger, registry: Registry) -> tuple[Entry, ...]:
    """Write the copies that nobody has noted yet into the ledger, oldest first.

    Returns:
        The entries that this call wrote; of several that look at the same moment, one writes.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    noted = []
    for info in sorted(versions(registry, ledger.project), key=lambda info: info.ref.version):
        if source_of(info) is None:
            continue
        entry = _note(ledger, registry, info)
        noted += [entry] if entry else []
    return tuple(noted)


def waiting_copy(entries: tuple[Entry, ...]) -> Entry | None:
    """Return the latest copy that the gate passed at its source and that nothing has been decided about since.

    A copy that was made before the present champion came to be is of the past.

    Args:
        entries: The ledger's, in order.
    """
    refused: set[int | None] = set()
    for entry in reversed(entries):
        if entry.kind in {*MOVES, "deleted"}:
            return None
        if entry.kind == "refused":
            refused.add(entry.version)
        elif entry.kind == "copied" and entry.evidence.get(PASSED) is True and entry.version not in refused:
            return entry if _is_newer(entry, entries) else None
    return None


def obstacle(copy: Entry, gates: GatesSection, champion: str) -> str | None:
    """Say why a copy that the gate passed at its source does not become champion by itself; None when it does.

    Args:
        copy: The ledger's entry about it.
        gates: What the project says.
        champion: Digest of the champion's bundle; empty when there is no champion.
    """
    if gates.approval == "required":
        return "the project wants a person's word: give it the alias to approve it"
    if champion and copy.evidence.get(RIVAL) != champion:
        return "at its source it met another model than the champion here: give it the alias to prefer it"
    return None


def _is_newer(copy: Entry, entries: tuple[Entry, ...]) -> bool:
    """Whether a copy was made after the latest move of the alias that was noted before it."""
    moves = [entry.time for entry in entries[: copy.sequence] if entry.kind in MOVES]
    made = copy.evidence.get(MADE)
    return not moves or (isinstance(made, int) and made > moves[-1].timestamp() * 1000)


def _note(ledger: Ledger, registry: Registry, info: VersionInfo) -> Entry | None:
    """Note one copy, unless it is noted."""
    entries = ledger.entries()
    if any(_is_of(entry, info) for entry in entries):
        return None
    proof = find_proof(ledger, registry, info)
    evidence: dict[str, Scalar] = {**identity(info), "source": str(source_of(info)), PASSED: proof.passed}
    evidence |= {RIVAL: proof.rival, "mlflow_run": info.run}
    try:
        return ledger.append(
            "copied",
            actor=BY_HAND,
            version=info.ref.version,
            reason=f"copied from {source_of(info)} in MLflow; {proof.sentence}",
            evidence=evidence,
            expected=entries[-1].sequence if entries else 0,
        )
    except ConflictError:
        return None


def _is_of(entry: Entry, info: VersionInfo) -> bool:
    """Whether an entry notes a copy."""
    return (entry.kind, entry.version) == ("copied", info.ref.version) and entry.evidence.get(MADE) == info.created
