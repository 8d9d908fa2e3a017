"""Slots: model name → loaded version. A new version is loaded and warmed beside the old one, then put in its place.

The table of slots is never changed, only replaced as a whole by one assignment; a request reads it once and keeps the
slot it found, so that every answer is made, and labelled, by one version, and the old one finishes its requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from tiltyard.bundle.reading import Reader
from tiltyard.bundle.runtime import Runtime
from tiltyard.data.contract import Level
from tiltyard.errors import BundleError
from tiltyard.serving.plan import Plan, Refusal, SlotPlan
from tiltyard.serving.settings import Limits


@dataclass(frozen=True)
class Slot:
    """One loaded version.

    Attributes:
        name: Model.
        version: Version in the registry.
        digest: Digest of the bundle.
        since: When the version took the slot.
        runtime: Answers for it.
        reader: Reads requests for it.
        classes: Classes as answered, in the order of the probabilities; empty for regression.
        class_keys: The same as keys of the `probabilities` object.
    """

    name: str
    version: int
    digest: str
    since: datetime
    runtime: Runtime
    reader: Reader
    classes: tuple[Level, ...]
    class_keys: tuple[str, ...]


Slots = Mapping[str, Slot]


@dataclass(frozen=True)
class Served:
    """All that an answer depends on, beside the request.

    Attributes:
        names: Models this server is to answer for.
        slots: Those it can answer for.
        refused: Versions that failed their verification, by model.
        failed: Why this worker could not load the planned version, by model.
        limits: What a request may ask for.
        draining: Whether the server is going away and clients should reconnect elsewhere.
    """

    names: tuple[str, ...]
    slots: Slots = field(default_factory=dict)
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    draining: bool = False


def load_slot(name: str, plan: SlotPlan, key: str | None = None) -> Slot:
    """Load a version and warm it with its golden rows.

    Args:
        name: Model.
        plan: The version.
        key: Key of the keyed hashes, for models with a hashed column.

    Raises:
        BundleError: The bundle is damaged, is not the planned one, or answers its golden rows differently here.
        ProjectError: The model needs the key of the keyed hashes, and it is missing or wrong here.
    """
    runtime = Runtime.load(Path(plan.bundle), key=key)
    if runtime.manifest.digest != plan.digest:
        raise BundleError(
            f"the bundle's digest is {runtime.manifest.digest} and not the planned {plan.digest}",
            where=plan.bundle,
            cure="Remove the folder: the sidecar fetches it again.",
        )
    runtime.check_key()
    runtime.replay()
    classes = tuple(runtime.classes)
    reader = Reader(runtime.contract, runtime.encoder, key)
    keys = tuple(str(level) for level in classes)
    return Slot(name, plan.version, plan.digest, plan.since, runtime, reader, classes, keys)


def next_slots(
    current: Slots, plan: Plan, names: tuple[str, ...], key: str | None = None
) -> tuple[Slots, dict[str, Exception]]:
    """Load what the plan has and `current` has not.

    Args:
        current: Slots in use; those that stay are kept as they are.
        plan: What should stand in the slots.
        names: Models of this server; others in the plan are left alone.
        key: Key of the keyed hashes.

    Returns:
        The new table, and why versions could not be loaded, by model: these keep the slot they had.
    """
    slots = dict(current)
    problems: dict[str, Exception] = {}
    for name in names:
        planned, held = plan.models.get(name), current.get(name)
        if planned is None or (held and (held.version, held.digest) == (planned.version, planned.digest)):
            continue
        try:
            slots[name] = load_slot(name, planned, key)
        except Exception as error:  # noqa: BLE001  # whatever loading does, the old version answers on; the caller logs it
            problems[name] = error
    return MappingProxyType(slots), problems
