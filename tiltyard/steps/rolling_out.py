"""How a winner takes over: at once, or by a rollout that has to hold on live requests first."""

from collections.abc import Mapping
from contextlib import suppress
from functools import reduce
from typing import Literal

from pydantic import ValidationError

from tiltyard.errors import AbsentError, ConflictError
from tiltyard.evaluation.evidence import Evidence
from tiltyard.evaluation.records import Verdict
from tiltyard.evaluation.rollout import Decision, decide, figures
from tiltyard.project.rollout import RolloutSection, Strategy
from tiltyard.project.section import Section
from tiltyard.registry import models, promotion, rollouts
from tiltyard.registry.by_hand import settle as settle_by_hand
from tiltyard.registry.history import MADE
from tiltyard.registry.records import ModelRef, Promotion, Scalar
from tiltyard.registry.rollout import Rollout
from tiltyard.registry.rollout import rollouts as every_rollout
from tiltyard.registry.rollout import standing as rollout_in_force
from tiltyard.steps.judging import Evaluation
from tiltyard.steps.place import Place
from tiltyard.steps.promoting import champion_number, evidence_of
from tiltyard.steps.registering import Registered
from tiltyard.steps.run import TrainingOutcome, TrainingRun

_FLOW = "flow"
"""Evidence of a rollout: what started it, so that the same thing does not start it twice."""


_SERVERS_TURN = 60.0
"""So many seconds after a step's time the model servers have to end it; then whoever follows it does."""


class TakeOver(Section):
    """What became of a version that may replace the champion.

    Attributes:
        promotion: The move of the champion; None when there was none.
        rollout: Its rollout; None when it has none.
        held: Why it has neither, in words; empty when it has.
    """

    promotion: Promotion | None = None
    rollout: Rollout | None = None
    held: str = ""

    @property
    def is_champion(self) -> bool:
        """Whether the version is champion by this."""
        return self.promotion is not None or (self.rollout is not None and self.rollout.outcome == "promoted")

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        if self.promotion is not None:
            return self.promotion.sentence
        return self.rollout.sentence if self.rollout is not None else self.held


def take_over(
    place: Place,
    version: int,
    *,
    actor: str,
    reason: str,
    expected_champion: int | None,
    evidence: Mapping[str, Scalar],
    cause: str,
) -> TakeOver:
    """Let a version take over as the project says: promote it, or start its rollout.

    The first champion has nobody to be compared with, and is promoted. What caused a rollout causes it once: done
    again, it tells how that rollout stands.

    Args:
        place: The project.
        version: The version.
        actor: Who decided.
        reason: Why, in words.
        expected_champion: Champion that the decision was based on; None when there was none.
        evidence: Figures behind it.
        cause: Name of what leads to it, such as a training run's key.

    Raises:
        ConflictError: The champion is another one by now; nothing was moved.
        AbsentError: There is no such version.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    settings = place.project.rollout
    known = caused(place, version, cause)
    if known is not None:
        return known
    if settings.strategy == "direct" or expected_champion is None:
        done = promotion.promote(
            place.ledger,
            place.registry,
            version,
            actor=actor,
            reason=reason,
            expected_champion=expected_champion,
            evidence=evidence,
            gates=place.project.gates,
        )
        return TakeOver(promotion=done)
    other = rollouts.tidy(place.ledger, place.registry, place.project.gates)
    if other is not None and other.version != version:
        return TakeOver(held=_held(version, other))
    started = rollouts.start(
        place.ledger,
        place.registry,
        version,
        settings=settings if other is None else other.settings,
        actor=actor,
        reason=reason,
        expected_champion=expected_champion,
        evidence={**evidence, _FLOW: cause},
        gates=place.project.gates,
    )
    return TakeOver(rollout=started)


def crown(run: TrainingRun, registered: Registered, evaluation: Evaluation, verdict: Verdict) -> TakeOver:
    """Let the challenger of a training run take over.

    Raises:
        ConflictError: The champion is no longer the one the challenger was compared with.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    return take_over(
        Place(run.project, run.workplace),
        registered.ref.version,
        actor=run.workplace.actor,
        reason=verdict.sentence,
        expected_champion=champion_number(evaluation),
        evidence=evidence_of(verdict, evaluation),
        cause=run.key,
    )


def outcome_with(outcome: TrainingOutcome, done: TakeOver) -> TrainingOutcome:
    """Return how a run ended, with what became of its winner.

    Args:
        outcome: How it ended otherwise.
        done: What became of the version.
    """
    return outcome.model_copy(update={"promoted": done.is_champion, "rollout": done.rollout, "held": done.held})


def refreshed(place: Place, outcome: TrainingOutcome) -> TrainingOutcome:
    """Return how a run ended that has started a rollout, as that rollout stands by now.

    Args:
        place: The project.
        outcome: How the run ended when it did.

    Raises:
        StorageError: The ledger cannot be reached.
    """
    if outcome.rollout is None:
        return outcome
    known = {rollout.sequence: rollout for rollout in every_rollout(place.ledger.entries())}
    return outcome_with(outcome, TakeOver(rollout=known.get(outcome.rollout.sequence, outcome.rollout)))


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
    if known is not None and known.rollout is not None:
        return known.rollout
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
        evidence={} if cause is None else {_FLOW: cause},
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


def caused(place: Place, version: int, cause: str) -> TakeOver | None:
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
        if rollout.version == version and rollout.evidence.get(_FLOW) == cause
    ]
    if not mine:
        return None
    info = models.version(place.registry, ModelRef(name=place.project.name, version=version))
    return TakeOver(rollout=mine[-1]) if mine[-1].evidence.get(MADE) == info.created else None


def _held(version: int, other: Rollout) -> str:
    return (
        f"version {other.version} is being rolled out; when that has ended, `tiltyard rollout start {version}` starts "
        f"the rollout of version {version}"
    )
