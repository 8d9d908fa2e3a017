"""The plan: which version stands in which slot.

The sidecar alone writes it, as a whole or not at all; workers only read it. It lies beside the cached bundles and
outlives every process, so that a server starts from it when registry and object store are down.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import AwareDatetime, Field, ValidationError

from tiltyard.errors import ServingError
from tiltyard.project.rollout import SLOW_MS
from tiltyard.project.section import Section

_Value = TypeVar("_Value")


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


class CandidatePlan(Section):
    """A version on its way to becoming champion, and which requests it answers meanwhile.

    Attributes:
        slot: The version.
        start: Number of the ledger's entry that began the rollout.
        step: Number of the rollout's step, from 0.
        strategy: `canary` and `blue_green` answer their share; `shadow` answers nobody.
        share: Part of the requests that it answers, 0 to 1.
        key: Column whose value decides which requests; None to let chance decide, by the request's id.
        salt: Makes one rollout's choice of keys another than the next one's.
        slow_ms: Milliseconds up to which no answer of it counts as slow.
    """

    slot: SlotPlan
    start: Annotated[int, Field(ge=0)]
    step: Annotated[int, Field(ge=0)] = 0
    strategy: Literal["canary", "blue_green", "shadow"]
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    key: str | None = None
    salt: str = ""
    slow_ms: Annotated[float, Field(ge=0)] = SLOW_MS


class Stop(Section):
    """The end of a rollout that this server has brought about, whether or not anybody else knows yet.

    Attributes:
        start: Number of the ledger's entry that began the rollout.
        version: The candidate.
        reason: Why, in a sentence.
    """

    start: int
    version: int
    reason: str


class Plan(Section):
    """What the workers of one server answer with.

    Attributes:
        models: Slot by model name.
        refused: By model name, the version that should stand in the slot and does not.
        candidates: By model name, the version on its way into the slot.
        previous: By model name, the version that stood in the slot before; it stays loaded for the way back.
        stopped: By model, the rollout that this server has stopped at once.
        begun: Whether the sidecar of this server has looked at all.
        looked: Models that it has looked at with success.
    """

    models: dict[str, SlotPlan] = Field(default_factory=dict)
    refused: dict[str, Refusal] = Field(default_factory=dict)
    candidates: dict[str, CandidatePlan] = Field(default_factory=dict)
    previous: dict[str, SlotPlan] = Field(default_factory=dict)
    stopped: dict[str, Stop] = Field(default_factory=dict)
    begun: bool = False
    looked: frozenset[str] = frozenset()

    def with_slot(self, name: str, slot: SlotPlan) -> "Plan":
        """Return the plan with `slot` under `name`; a refusal of that model is over, and so is its own candidacy."""
        before, candidate = self.models.get(name), self.candidates.get(name)
        previous = self.previous
        if before is not None and before.version != slot.version:
            previous = {**previous, name: before}
        arrived = candidate is not None and candidate.slot.version == slot.version
        return self._but(
            models={**self.models, name: slot},
            refused=_without(self.refused, name),
            candidates=_without(self.candidates, name) if arrived else self.candidates,
            previous=previous,
        )

    def with_refusal(self, name: str, refusal: Refusal | None) -> "Plan":
        """Return the plan with, or for None without, a refusal; the slot stays as it is."""
        refused = _without(self.refused, name)
        return self._but(refused=refused if refusal is None else {**refused, name: refusal})

    def with_candidate(self, name: str, candidate: CandidatePlan | None) -> "Plan":
        """Return the plan with, or for None without, a candidate; the slot stays as it is."""
        candidates = _without(self.candidates, name)
        return self._but(candidates=candidates if candidate is None else {**candidates, name: candidate})

    def with_stop(self, name: str, stop: Stop) -> "Plan":
        """Return the plan without a candidate, and with a note that its rollout is stopped."""
        return self._but(candidates=_without(self.candidates, name), stopped={**self.stopped, name: stop})

    def without_rollout(self, name: str) -> "Plan":
        """Return the plan without anything of a rollout."""
        return self._but(candidates=_without(self.candidates, name), stopped=_without(self.stopped, name))

    def with_looked(self, name: str) -> "Plan":
        """Return the plan with a note that the sidecar has looked at a model."""
        return self._but(looked=self.looked | {name})

    def with_begun(self) -> "Plan":
        """Return the plan with a note that the sidecar has looked, with or without success."""
        return self._but(begun=True)

    def covers(self, names: Iterable[str]) -> bool:
        """Whether it says of every model what stands in its slot, or that nothing can."""
        return all(name in self.models or name in self.looked for name in names)

    @property
    def rollouts(self) -> tuple[str, ...]:
        """Models with two versions to compare."""
        return tuple(name for name in self.candidates if name in self.models)

    def _but(self, **changed: object) -> "Plan":
        return self.model_copy(update=changed)


def _without(table: dict[str, _Value], name: str) -> dict[str, _Value]:
    return {key: value for key, value in table.items() if key != name}


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


def covers(path: Path, names: Iterable[str]) -> bool:
    """Whether the plan says of every model what stands in its slot; none that can be read says nothing."""
    try:
        return read_plan(path).covers(names)
    except ServingError:
        return False


def has_rollouts(path: Path) -> bool:
    """Whether the plan has two versions of any model to compare; no plan, and none that can be read, has none."""
    try:
        return bool(read_plan(path).rollouts)
    except ServingError:
        return False


def forget_looks(path: Path) -> None:
    """Have workers wait for the sidecar's first look, where nothing is planned: what was looked at before is old.

    For a new server, before its sidecar starts. A plan that cannot be read or written is left as it is.
    """
    with suppress(ServingError):
        plan = read_plan(path)
        if plan.begun or plan.looked:
            write_plan(path, plan.model_copy(update={"begun": False, "looked": frozenset()}))
