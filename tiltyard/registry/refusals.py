"""Versions that a model server does not serve: told once, however many servers refuse them."""

from tiltyard.errors import ConflictError
from tiltyard.registry.client import Registry
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.models import set_tags
from tiltyard.registry.records import ModelRef

SERVING_REFUSED = "tiltyard.serving_refused"
"""Tag of a version: why the model servers refuse it."""

_ATTEMPTS = 10
_NEWS = ("registered", "copied", "promoted", "rolled_back", "deleted", "refused")
"""Kinds after which a refusal of the same version is told anew, and the refusal itself."""


def note_refusal(ledger: Ledger, registry: Registry, ref: ModelRef, reason: str, *, actor: str) -> None:
    """Write into the ledger and on the version's tag why a version is not served.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        ref: The version.
        reason: Why, in words.
        actor: Which model server says so.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    for _ in range(_ATTEMPTS):
        entries = ledger.entries()
        said = [entry.kind for entry in entries if entry.version == ref.version and entry.kind in _NEWS]
        if said[-1:] == ["refused"]:
            break
        try:
            ledger.append("refused", actor=actor, version=ref.version, reason=reason, expected=len(entries))
        except ConflictError:  # another server, with the same news perhaps
            continue
        break
    set_tags(registry, ref, {SERVING_REFUSED: reason})
