"""The plan: which version stands in which slot.

The sidecar alone writes it, as a whole or not at all; workers only read it. It lies beside the cached bundles and
outlives every process, so that a server starts from it when registry and object store are down.
"""

import os
from pathlib import Path
from typing import NamedTuple

from pydantic import AwareDatetime, Field, ValidationError

from tiltyard.errors import ServingError
from tiltyard.project.section import Section


class SlotPlan(Section):
    """One verified version, ready to be loaded.

    Attributes:
        version: Version in the registry.
        bundle: Absolute path of the bundle's folder in the local cache.
        digest: Digest of the bundle's manifest.
        since: When this version took the slot, UTC.
    """

    version: int
    bundle: str
    digest: str
    since: AwareDatetime


class Refusal(Section):
    """A version that the registry calls champion and that failed its verification here.

    Attributes:
        version: Version in the registry.
        reason: Why, in a sentence.
        since: When it failed, UTC.
        reported: Whether the reason stands on the version's tag and in the ledger already.
    """

    version: int
    reason: str
    since: AwareDatetime
    reported: bool = False


class Plan(Section):
    """What the workers of one server answer with.

    Attributes:
        models: Slot by model name.
        refused: By model name, the version that should stand in the slot and does not.
    """

    models: dict[str, SlotPlan] = Field(default_factory=dict)
    refused: dict[str, Refusal] = Field(default_factory=dict)

    def with_slot(self, name: str, slot: SlotPlan) -> "Plan":
        """Return the plan with `slot` under `name`; a refusal of that model is over."""
        refused = {key: value for key, value in self.refused.items() if key != name}
        return Plan(models={**self.models, name: slot}, refused=refused)

    def with_refusal(self, name: str, refusal: Refusal | None) -> "Plan":
        """Return the plan with, or for None without, a refusal; the slot stays as it is."""
        refused = {key: value for key, value in self.refused.items() if key != name}
        return Plan(models=self.models, refused=refused if refusal is None else {**refused, name: refusal})


class Stamp(NamedTuple):
    """Tells one writing of the file from the next: every writing is a new file."""

    inode: int
    modified_ns: int


def stamp_of(path: Path) -> Stamp | None:
    """Return the file's stamp, None when there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return Stamp(status.st_ino, status.st_mtime_ns)


def write_plan(path: Path, plan: Plan) -> None:
    """Write the plan so that a reader, at any moment and after a crash, sees the old one or the new one.

    Raises:
        ServingError: The disk is full or the folder cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(plan.model_dump_json(indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ServingError(
            f"the plan cannot be written ({error.strerror})", where=str(path), cure="Free the disk or its permissions."
        ) from error


def read_plan(path: Path) -> Plan:
    """Read the plan; an empty one when there is no file yet.

    Raises:
        ServingError: The file is not a plan.
    """
    try:
        return Plan.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Plan()
    except (ValidationError, OSError) as error:
        raise ServingError(
            f"is not a plan that this version of Tiltyard reads ({type(error).__name__})",
            where=str(path),
            cure="Remove it: the sidecar writes it anew from the registry.",
        ) from error
