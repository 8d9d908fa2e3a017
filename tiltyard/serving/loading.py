"""From the plan to loaded slots: what is new is loaded beside what answers, and no version is loaded twice."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from tiltyard.serving.plan import CandidatePlan, Plan, SlotPlan
from tiltyard.serving.slots import Arm, Candidate, Served, Slot, Slots, load_slot

_Value = TypeVar("_Value")
Problems = dict[tuple[str, Arm], Exception]


class Loaded(NamedTuple):
    """What should answer from now on.

    Attributes:
        served: Champions that could not be loaded leave their models' slots as they were; candidates and versions
            before are left out.
        problems: Why versions could not be loaded, by model and what they stand for.
    """

    served: Served
    problems: Problems


def next_served(served: Served, plan: Plan, key: str | None = None, *, lazy: bool = False) -> Loaded:
    """Load what the plan has and `served` has not.

    Args:
        served: What is in use; slots that stay are kept as they are.
        plan: What should stand in the slots. Models of other servers in it are left alone.
        key: Key of the keyed hashes.
        lazy: Leave models that are not in memory and have no candidate until somebody asks for them.
    """
    loader = _Loader(served, key)
    names = [name for name in served.names if name in plan.models]
    now = [name for name in names if not lazy or name in served.slots or name in plan.candidates]
    champions = {name: loader.champion(name, plan.models[name]) for name in now}
    slots = _present({**served.slots, **champions})
    answering = [name for name in now if name in slots]
    candidates = {name: loader.candidate(name, plan.candidates.get(name)) for name in answering}
    previous = {name: loader.previous(name, plan.previous.get(name), load=not lazy) for name in answering}
    after = dataclasses.replace(
        served,
        slots=slots,
        candidates=_present(candidates),
        previous=_present(previous),
        refused=plan.refused,
        waiting={name: plan.models[name] for name in names if name not in slots} if lazy else {},
    )
    return Loaded(after, loader.problems)


def next_slots(
    current: Slots, plan: Plan, names: tuple[str, ...], key: str | None = None
) -> tuple[Slots, dict[str, Exception]]:
    """Load champions alone (see `next_served`), and return them and why some could not be loaded, by model."""
    served, problems = next_served(Served(names=names, slots=current), plan, key)
    return served.slots, {name: problem for (name, arm), problem in problems.items() if arm == "champion"}


class _Loader:
    """Takes versions from what is loaded already, or else loads them.

    Args:
        served: What is loaded.
        key: Key of the keyed hashes.
    """

    def __init__(self, served: Served, key: str | None) -> None:
        self._served = served
        self._key = key
        self.problems: Problems = {}

    def champion(self, name: str, plan: SlotPlan) -> Slot | None:
        """Return the slot of the planned champion, or the one there is when it cannot be loaded."""
        return self._slot(name, plan, "champion") or self._served.slots.get(name)

    def candidate(self, name: str, plan: CandidatePlan | None) -> Candidate | None:
        """Return the planned candidate; None when there is none, or it cannot be loaded."""
        slot = None if plan is None else self._slot(name, plan.slot, "candidate")
        if plan is None or slot is None:
            return None
        return Candidate(slot, plan.share if plan.strategy != "shadow" else 0.0, plan.key, plan.salt)

    def previous(self, name: str, plan: SlotPlan | None, *, load: bool) -> Slot | None:
        """Return the planned version before, if it is loaded or can be."""
        if plan is None or not (load or self._held(name, plan)):
            return None
        return self._slot(name, plan, "previous")

    def _held(self, name: str, plan: SlotPlan) -> Slot | None:
        """Return a version that is loaded, whatever it stands for."""
        champion = self._served.slots.get(name)
        if champion is None:
            return None
        slots = (champion, *self._served.beside(name))
        return next((slot for slot in slots if (slot.version, slot.digest) == (plan.version, plan.digest)), None)

    def _slot(self, name: str, plan: SlotPlan, arm: Arm) -> Slot | None:
        held = self._held(name, plan)
        if held is not None:
            same = (held.arm, held.since) == (arm, plan.since)
            return held if same else dataclasses.replace(held, arm=arm, since=plan.since)
        try:
            return dataclasses.replace(load_slot(name, plan, self._key), arm=arm)
        except Exception as error:  # noqa: BLE001  # whatever loading does, the old version answers on; the caller logs it
            self.problems[name, arm] = error
            return None


def _present(table: Mapping[str, _Value | None]) -> Mapping[str, _Value]:
    return MappingProxyType({name: value for name, value in table.items() if value is not None})
