"""How a winner takes over: at once, or by a rollout that has to hold on live requests first."""

from collections.abc import Mapping

from tiltyard.evaluation.records import Verdict
from tiltyard.project.section import Section
from tiltyard.registry import promotion, rollouts
from tiltyard.registry.records import Promotion, Scalar
from tiltyard.registry.rollout import Rollout
from tiltyard.registry.rollout import rollouts as every_rollout
from tiltyard.steps.judging import Evaluation
from tiltyard.steps.place import Place
from tiltyard.steps.promoting import champion_number, evidence_of
from tiltyard.steps.registering import Registered
from tiltyard.steps.rolling_out import FLOW, caused
from tiltyard.steps.run import TrainingOutcome, TrainingRun


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
        return TakeOver(rollout=known)
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
        evidence={**evidence, FLOW: cause},
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


def _held(version: int, other: Rollout) -> str:
    return (
        f"version {other.version} is being rolled out; when that has ended, `tiltyard rollout start {version}` starts "
        f"the rollout of version {version}"
    )
