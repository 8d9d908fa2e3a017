"""Slots: model name → loaded versions. A new version is loaded and warmed beside the old one, then put in its place.

Champion, candidate and the version before stand side by side. The table of them is never changed, only replaced as a
whole by one assignment; a request reads it once and keeps the slot it found, so that every answer is made, and
labelled, by one version, and the old one finishes its requests.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Literal

from tiltyard.bundle.reading import Reader
from tiltyard.bundle.runtime import Runtime
from tiltyard.data.contract import Level
from tiltyard.errors import BundleError, did_you_mean
from tiltyard.predictions.record import schema_line
from tiltyard.serving.answers import RequestError, shorten
from tiltyard.serving.plan import Refusal, SlotPlan
from tiltyard.serving.protocols.signature import Signature
from tiltyard.serving.routing import is_chosen
from tiltyard.serving.settings import MEBIBYTE, Limits

Arm = Literal["champion", "candidate", "previous"]
Standing = Literal["ready", "waiting", "unlogged", "draining"]

LEAST_MEGABYTES = 2.0
GROWTH = 6.0
"""What a version takes in memory: a session, and its graph so many times over."""

_PROMOTE = "Promote a version with `tiltyard train` or `tiltyard promote`; a new server needs a moment to fetch it."
_RETRY = ((b"retry-after", b"2"),)


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
        arm: What it stands for: the champion, the candidate, or the champion before.
        megabytes: Memory it is thought to take.
    """

    name: str
    version: int
    digest: str
    since: datetime
    runtime: Runtime
    reader: Reader
    classes: tuple[Level, ...]
    class_keys: tuple[str, ...]
    arm: Arm = "champion"
    megabytes: float = 0.0

    @cached_property
    def schema(self) -> bytes:
        """Line that the prediction log needs once before the records of this version."""
        return schema_line(self.name, self.version, self.runtime.contract)

    @cached_property
    def signature(self) -> Signature:
        """Tensors of this version."""
        return Signature(self.runtime.contract, self.classes)


Slots = Mapping[str, Slot]


@dataclass(frozen=True)
class Candidate:
    """A loaded version on its way to becoming champion.

    Attributes:
        slot: The version.
        share: Part of the requests that it answers, 0 to 1.
        key: Column whose value decides which requests; None for the request's id.
        salt: Of the rollout.
    """

    slot: Slot
    share: float
    key: str | None
    salt: str


class Unloaded(RequestError):  # noqa: N818  # as much an event as an error: whoever can load the model does, and asks again
    """A model that this worker answers for and has not in memory.

    Args:
        name: The model.
    """

    http_status = 503
    headers = _RETRY

    def __init__(self, name: str) -> None:
        super().__init__(f"the model `{name}` is not in memory", cure="Ask again in a moment.")
        self.name = name


@dataclass(frozen=True)
class Served:
    """All that an answer depends on, beside the request.

    Attributes:
        names: Models this server is to answer for.
        slots: Champions it can answer with.
        refused: Versions that failed their verification, by model.
        failed: Why this worker could not load the planned version, by model.
        limits: What a request may ask for.
        draining: Whether the server is going away and clients should reconnect elsewhere.
        unlogged: Whether predictions are refused because they cannot be logged.
        candidates: Versions on their way to becoming champion, by model.
        previous: Champions before, by model; kept for the way back.
        waiting: Models that are planned, and loaded when somebody asks for them.
        used: When each model was last asked for, by the monotonic clock; written to. None where nobody wants to know.
    """

    names: tuple[str, ...]
    slots: Slots = field(default_factory=dict)
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    draining: bool = False
    unlogged: bool = False
    candidates: Mapping[str, Candidate] = field(default_factory=dict)
    previous: Slots = field(default_factory=dict)
    waiting: Mapping[str, SlotPlan] = field(default_factory=dict)
    used: dict[str, float] | None = None

    def find(self, name: str, version: int | None = None) -> Slot:
        """Return the slot of a model's champion, or of the version that is asked for.

        Raises:
            RequestError: 404 for a model this server is not for, or a version that is not loaded; 503 for a model that
                has no champion here yet.
            Unloaded: The model is not in memory; 503 where nobody can load it.
        """
        slot = self.slots.get(name)
        if slot is None:
            raise self._absent(name)
        if self.used is not None:
            self.used[name] = monotonic()
        if version is None or version == slot.version:
            return slot
        for other in self.beside(name):
            if other.version == version:
                return other
        loaded = ", ".join(str(one.version) for one in (slot, *self.beside(name)))
        raise RequestError.of(
            404, f"version {version} of `{name}` is not loaded here", cure=f"Loaded is {loaded}; or name no version."
        )

    def beside(self, name: str) -> Iterator[Slot]:
        """Return a model's slots beside its champion's."""
        if name in self.candidates:
            yield self.candidates[name].slot
        if name in self.previous:
            yield self.previous[name]

    def sticky(self, name: str) -> str | None:
        """Return the column whose value decides between champion and candidate; None for the request's id."""
        candidate = self.candidates.get(name)
        return None if candidate is None else candidate.key

    def route(self, name: str, key: str) -> Slot:
        """Return the slot that answers for a key; the model has a champion.

        Args:
            name: The model.
            key: Text of the sticky column's value (see `routing.key_text`), or the request's id.
        """
        candidate = self.candidates.get(name)
        if candidate is not None and is_chosen(candidate.salt, key, candidate.share):
            return candidate.slot
        return self.slots[name]

    def answers(self, name: str) -> bool:
        """Whether a model can be answered for, if only after it has been loaded."""
        return name in self.slots or name in self.waiting

    @property
    def unanswered(self) -> list[str]:
        """The models that cannot be answered for."""
        return [name for name in self.names if not self.answers(name)]

    @property
    def standing(self) -> Standing:
        """Whether a load balancer should send requests here, and if not, why."""
        if self.draining:
            return "draining"
        if self.unlogged:
            return "unlogged"
        return "waiting" if self.unanswered else "ready"

    def _absent(self, name: str) -> RequestError:
        """Return why there is no slot for a model."""
        if name in self.waiting and name not in self.failed:
            return Unloaded(name)
        if name in self.names:
            what = f"the model `{name}` has no champion here yet"
            return RequestError.of(503, what, cure=self._why_missing(name), headers=_RETRY)
        what = f"there is no model `{shorten(name, 63)}` on this server"
        return RequestError.of(404, what, cure=did_you_mean(name[:63], self.names))

    def _why_missing(self, name: str) -> str:
        """Return what an operator does about a model without a slot."""
        refused = self.refused.get(name)
        if name in self.failed:
            return self.failed[name]
        if refused is None:
            return _PROMOTE
        return f"Version {refused.version} failed its verification: {refused.reason}"


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
    runtime = Runtime.load(Path(plan.bundle), key=key, lean=True)
    manifest = runtime.manifest
    if manifest.digest != plan.digest:
        raise BundleError(
            f"the bundle's digest is {manifest.digest} and not the planned {plan.digest}",
            where=plan.bundle,
            cure="Remove the folder: the sidecar fetches it again.",
        )
    runtime.check_key()
    runtime.replay()
    return Slot(
        name=name,
        version=plan.version,
        digest=plan.digest,
        since=plan.since,
        runtime=runtime,
        reader=Reader(runtime.contract, runtime.encoder, key),
        classes=tuple(runtime.classes),
        class_keys=tuple(str(level) for level in runtime.classes),
        megabytes=LEAST_MEGABYTES + GROWTH * manifest.size_bytes / MEBIBYTE,
    )
