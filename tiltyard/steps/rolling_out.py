"""How a winner takes over: at once, or by a rollout that has to hold on live requests first."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

from tiltyard.errors import AbsentError, ConflictError
from tiltyard.evaluation.records import Verdict
from tiltyard.project.rollout import RolloutSection, Strategy
from tiltyard.project.section import Section
from tiltyard.registry import models, promotion, rollouts
from tiltyard.registry.by_hand import settle as settle_by_hand
from tiltyard.registry.history import MADE
from tiltyard.registry.records import ModelRef, Promotion, Scalar
from tiltyard.registry.rollouts import Rollout
from tiltyard.steps.judging import Evaluation
from tiltyard.steps.place import Place
from tiltyard.steps.promoting import champion_number, evidence_of
from tiltyard.steps.registering import Registered
from tiltyard.steps.run import TrainingOutcome, TrainingRun

_FLOW = "flow"
"""Evidence of a rollout: what started it, so that the same thing does not start it twice."""


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
    known = {rollout.sequence: rollout for rollout in rollouts.rollouts(place.ledger.entries())}
    return outcome_with(outcome, TakeOver(rollout=known.get(outcome.rollout.sequence, outcome.rollout)))


def begin(place: Place, version: int, *, strategy: Strategy | None, reason: str, actor: str | None = None) -> Rollout:
    """Start a rollout by a person's decision, whatever the gate said.

    Args:
        place: The project.
        version: The version.
        strategy: How, in place of the project file's; `canary` where neither says other than `direct`.
        reason: Why, in words.
        actor: Who; the one in the environment when None.

    Raises:
        UsageError: The strategy is `direct`, there is no champion, or the version is champion.
        ConflictError: Another rollout or a promotion is under way.
        AbsentError: There is no such version.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    rollouts.tidy(place.ledger, place.registry, place.project.gates)
    settle_by_hand(place.ledger, place.registry, place.project.gates)
    return rollouts.start(
        place.ledger,
        place.registry,
        version,
        settings=in_force(place.project.rollout, strategy),
        actor=actor or place.workplace.actor,
        reason=reason,
        expected_champion=place.ledger.champion(),
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


def finish(place: Place, *, reason: str, actor: str | None = None) -> Promotion:
    """End the rollout in force by promoting its candidate, by a person's decision.

    Args:
        place: The project.
        reason: Why, in words.
        actor: Who; the one in the environment when None.

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
        actor=actor or place.workplace.actor,
        reason=reason,
        gates=place.project.gates,
    )


def give_back(place: Place, *, reason: str, actor: str | None = None) -> Rollout:
    """End the rollout in force by returning to the champion, by a person's decision.

    Args:
        place: The project.
        reason: Why, in words.
        actor: Who; the one in the environment when None.

    Raises:
        AbsentError: There is no rollout.
        ConflictError: It stands otherwise by now.
        RegistryError: It has ended, but MLflow could not be told.
        StorageError: The ledger cannot be reached.
    """
    return rollouts.give_back(
        place.ledger, place.registry, standing(place), actor=actor or place.workplace.actor, reason=reason
    )


def standing(place: Place) -> Rollout:
    """Return the rollout in force.

    Raises:
        AbsentError: There is none.
        StorageError: The ledger cannot be reached.
    """
    found = rollouts.standing(place.ledger.entries())
    if found is None:
        raise AbsentError(
            "no rollout is under way",
            where=place.project.name,
            cure="Start one by `tiltyard rollout start VERSION`; `tiltyard history` tells how the last one ended.",
        )
    return found


def look(place: Place) -> Rollout | None:
    """Return the latest rollout as it stands, after what interruptions left open is finished; None when there is none.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    with suppress(ConflictError):  # somebody else is at it; the next look will tell
        rollouts.tidy(place.ledger, place.registry, place.project.gates)
    return rollouts.latest(place.ledger.entries())


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
        for rollout in rollouts.rollouts(place.ledger.entries())
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
