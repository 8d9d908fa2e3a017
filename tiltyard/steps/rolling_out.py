"""A rollout as people and flows handle it: started, looked at, ended. What it imports is light."""

from contextlib import suppress
from functools import reduce
from typing import Literal

from pydantic import ValidationError

from tiltyard.errors import AbsentError, ConflictError
from tiltyard.evaluation.evidence import Evidence
from tiltyard.evaluation.rollout import Decision, decide, figures
from tiltyard.project.rollout import RolloutSection, Strategy
from tiltyard.project.section import Section
from tiltyard.registry import models, rollouts
from tiltyard.registry.by_hand import settle as settle_by_hand
from tiltyard.registry.history import MADE
from tiltyard.registry.records import ModelRef, Promotion
from tiltyard.registry.rollout import Rollout
from tiltyard.registry.rollout import rollouts as every_rollout
from tiltyard.registry.rollout import standing as rollout_in_force
from tiltyard.steps.place import Place

FLOW = "flow"
"""Evidence of a rollout: what started it, so that the same thing does not start it twice."""

_SERVERS_TURN = 60.0
"""So many seconds after a step's time the model servers have to end it; then whoever follows it does."""


def begin(place: Place, version: int, *, strategy: Strategy | None, reason: str, cause: str | None = None) -> Rollout:
    """Start a rollout by a person's decision, whatever the gate said.

    Args:
        place: The project.
        version: The version.
        strategy: How, in place of the project file's; `canary` where neither says other than `direct`.
        reason: Why, in words.
        cause: Name of what leads to it, so that the same thing does it once; None for a person's command.

    Raises:
        UsageError: The strategy is `direct`, there is no champion, or the version is champion.
        ConflictError: Another rollout or a promotion is under way.
        AbsentError: There is no such version.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    known = None if cause is None else caused(place, version, cause)
    if known is not None:
        return known
    rollouts.tidy(place.ledger, place.registry, place.project.gates)
    settle_by_hand(place.ledger, place.registry, place.project.gates)
    return rollouts.start(
        place.ledger,
        place.registry,
        version,
        settings=in_force(place.project.rollout, strategy),
        actor=place.workplace.actor,
        reason=reason,
        expected_champion=place.ledger.champion(),
        evidence={} if cause is None else {FLOW: cause},
        gates=place.project.gates,
    )


def in_force(settings: RolloutSection, strategy: Strategy | None) -> RolloutSection:
    """Return how a rollout that a person starts is to be.

    Args:
        settings: The project file's.
        strategy: What is asked for in place of the file's; None when nothing is.
    """
    plain: Literal["canary"] = "canary"
    wanted = strategy or (plain if settings.strategy == "direct" else settings.strategy)
    return settings.model_copy(update={"strategy": wanted})


def finish(place: Place, *, reason: str) -> Promotion:
    """End the rollout in force by promoting its candidate, by a person's decision.

    Args:
        place: The project.
        reason: Why, in words.

    Raises:
        AbsentError: There is no rollout.
        ConflictError: It stands otherwise by now.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    return rollouts.promote(
        place.ledger,
        place.registry,
        standing(place),
        actor=place.workplace.actor,
        reason=reason,
        gates=place.project.gates,
    )


def give_back(place: Place, *, reason: str) -> Rollout:
    """End the rollout in force by returning to the champion, by a person's decision.

    Args:
        place: The project.
        reason: Why, in words.

    Raises:
        AbsentError: There is no rollout.
        ConflictError: It stands otherwise by now.
        RegistryError: It has ended, but MLflow could not be told.
        StorageError: The ledger cannot be reached.
    """
    return rollouts.give_back(place.ledger, place.registry, standing(place), actor=place.workplace.actor, reason=reason)


def standing(place: Place) -> Rollout:
    """Return the rollout in force.

    Raises:
        AbsentError: There is none.
        StorageError: The ledger cannot be reached.
    """
    found = rollout_in_force(place.ledger.entries())
    if found is None:
        raise AbsentError(
            "no rollout is under way",
            where=place.project.name,
            cure="Start one by `tiltyard rollout start VERSION`; `tiltyard history` tells how the last one ended.",
        )
    return found


class View(Section):
    """How a rollout is at one look.

    Attributes:
        rollout: As the ledger has it.
        evidence: What the model servers have published about its present step.
        decision: What follows from that; of a rollout that has ended, nothing.
    """

    rollout: Rollout
    evidence: Evidence
    decision: Decision


def look(place: Place, rollout: Rollout) -> View:
    """Look at a rollout: how it stands, what the model servers see, and what follows from it.

    Args:
        place: The project.
        rollout: The rollout, as it stood at some time.

    Raises:
        StorageError: The store cannot be reached.
    """
    known = {one.sequence: one for one in every_rollout(place.ledger.entries())}
    now = known.get(rollout.sequence, rollout)
    evidence = _seen(place, now)
    return View(rollout=now, evidence=evidence, decision=decide(now, evidence))


def see_to(place: Place, rollout: Rollout) -> None:
    """Finish what is open of a rollout, and end it where its time is over and no model server does.

    Args:
        place: The project.
        rollout: The rollout, as it stood at some time.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The store cannot be reached.
    """
    with suppress(ConflictError):  # somebody else is at it; the next look will tell
        rollouts.tidy(place.ledger, place.registry, place.project.gates)
        view = look(place, rollout)
        late = view.evidence.seconds >= view.rollout.settings.hours * 3600 + _SERVERS_TURN
        if view.rollout.outcome is None and view.decision.kind == "return" and late:
            rollouts.give_back(
                place.ledger,
                place.registry,
                view.rollout,
                actor=place.workplace.actor,
                reason=view.decision.sentence,
                evidence=figures(view.evidence, view.decision),
            )


def _seen(place: Place, rollout: Rollout) -> Evidence:
    """Return what the model servers have published about the present step of a rollout."""
    seconds = max(0.0, (place.ledger.now() - rollout.since).total_seconds())
    found = [Evidence(rollout=rollout.sequence, step=rollout.step, seconds=seconds)]
    for key in place.store.list(f"rollouts/{rollout.project}/{rollout.sequence}"):
        with suppress(ValidationError):
            part = Evidence.model_validate_json(place.store.read(key))
            found += [part] if (part.rollout, part.step) == (rollout.sequence, rollout.step) else []
    return reduce(Evidence.__add__, found)


def caused(place: Place, version: int, cause: str) -> Rollout | None:
    """Return the rollout that something has led to before, as it stands; None when it has led to none.

    Args:
        place: The project.
        version: The version.
        cause: Name of what may have led to it.

    Raises:
        AbsentError: The version is not there any more.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    mine = [
        rollout
        for rollout in every_rollout(place.ledger.entries())
        if rollout.version == version and rollout.evidence.get(FLOW) == cause
    ]
    if not mine:
        return None
    info = models.version(place.registry, ModelRef(name=place.project.name, version=version))
    return mine[-1] if mine[-1].evidence.get(MADE) == info.created else None
