"""A person's word about a challenger: when it is asked for, and what follows from it."""

from pathlib import Path
from typing import Literal

from tiltyard.errors import AbsentError, UsageError
from tiltyard.evaluation.records import Verdict
from tiltyard.project.gates import GatesSection
from tiltyard.project.section import Section
from tiltyard.registry import approvals, models
from tiltyard.registry.approvals import Approval, Choice, Standing
from tiltyard.registry.by_hand import settle as settle_by_hand
from tiltyard.registry.records import ModelRef, Promotion
from tiltyard.registry.rollout import Rollout
from tiltyard.steps.judging import Evaluation
from tiltyard.steps.place import Place, open_place
from tiltyard.steps.promoting import champion_number
from tiltyard.steps.registering import Registered
from tiltyard.steps.rolling_out import caused
from tiltyard.steps.run import TrainingOutcome, TrainingRun, keep_outcome
from tiltyard.steps.taking_over import TakeOver, outcome_with, take_over


class Answer(Section):
    """What a person decided.

    Attributes:
        choice: The decision.
        actor: Who decided.
        reason: Why, in words.
    """

    choice: Choice
    actor: str
    reason: str


class Decided(Section):
    """What a person's decision led to.

    Attributes:
        approval: The question with its answer.
        promotion: The move of the champion; None when the decision moved nothing.
        rollout: The rollout that it has started; None when there is none.
        sentence: What happened, in words.
    """

    approval: Approval
    promotion: Promotion | None
    rollout: Rollout | None = None
    sentence: str


def wanted(gates: GatesSection, verdict: Verdict) -> str | None:
    """Say why a person has to decide about a challenger; None when the verdict alone does.

    Args:
        gates: The project's gates.
        verdict: What the gate decided.
    """
    if verdict.outcome == "promote" and gates.approval == "required":
        return "The gate would promote it, and the project wants a person to approve that."
    if verdict.outcome == "inconclusive" and gates.inconclusive == "ask":
        return "The comparison did not settle it, and the project asks a person then."
    return None


def request(
    run: TrainingRun, registered: Registered, evaluation: Evaluation, outcome: TrainingOutcome, why: str
) -> Approval:
    """Ask for a person's decision about a judged version, unless that was done before on the same evidence.

    The run's outcome goes to the object store, so that the decision can be carried out from any machine, whatever has
    become of the table, the code and the run's folder.

    Args:
        run: The run.
        registered: Its version.
        evaluation: What was measured.
        outcome: How the run ends unless it is approved.
        why: Why a person is asked.

    Returns:
        The question as it stands, which may be decided already.

    Raises:
        ConflictError: The ledger changes at every look.
        StorageError: The store cannot be reached or refuses.
    """
    place = Place(run.project, run.workplace)
    version = registered.ref.version
    place.store.write(_key(place, version), outcome.model_dump_json().encode())
    judged = [entry for entry in place.ledger.entries() if entry.kind == "judged" and entry.version == version]
    return approvals.ask(
        place.ledger,
        version,
        replaces=champion_number(evaluation),
        actor=run.workplace.actor,
        question=why,
        verdict=outcome.verdict.sentence,
        hours=run.project.gates.approval_hours,
        evidence={**judged[-1].evidence, "run": run.key, "mlflow_run": registered.tracked.run},
    )


def waiting(place: Place) -> tuple[Approval, ...]:
    """Return the questions that wait for a decision, oldest first; those whose time is over are closed first.

    Raises:
        StorageError: The ledger cannot be reached.
    """
    return approvals.waiting(place.ledger)


def decide(place: Place, version: int, choice: Choice, *, actor: str, reason: str) -> Decided:
    """Carry out a person's decision about a version: write it down, and promote when it was approved.

    Every way in ends here. The first decision counts; the same one again completes what an interruption left open.

    Args:
        place: The project.
        version: Version it is about.
        choice: What was decided.
        actor: Who decided.
        reason: Why, in words.

    Raises:
        UsageError: Who or why is empty.
        AbsentError: Nobody was asked about this version, or it is not there any more.
        ConflictError: It was decided otherwise before, has lapsed, or the champion is another one by now; nothing was
            moved.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    _check_words(actor, reason)
    settle_by_hand(place.ledger, place.registry, place.project.gates)
    if choice == "approve" and approvals.find(place.ledger, version):
        models.version(place.registry, ModelRef(name=place.project.name, version=version))
    champion = place.ledger.champion()
    approval = approvals.decide(place.ledger, version, choice, actor=actor, reason=reason, champion=champion)
    return _carry_out(place, approval)


def settle(project_file: Path, version: int, answer: Answer | None) -> TrainingOutcome:
    """End the run that asked about a version, whatever has become of its table, its code and its folder.

    Args:
        project_file: The project file, or the folder that holds it.
        version: Version it asked about.
        answer: A person's decision; what was decided elsewhere before comes first.

    Raises:
        AbsentError: Nobody was asked about this version.
        ConflictError: The champion is another one by now; nothing was moved.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The store cannot be reached.
    """
    place = open_place(project_file)
    approval = approvals.find(place.ledger, version)
    if answer is not None and (approval is None or approval.standing == "waiting"):
        done = decide(place, version, answer.choice, actor=answer.actor, reason=answer.reason)
        return outcome_after(place, done.approval)
    if approval is None:
        raise AbsentError(f"nobody was asked about version {version}", where=place.project.name, cure="Train again.")
    return outcome_after(place, _carry_out(place, approval).approval)


def _carry_out(place: Place, approval: Approval) -> Decided:
    """Do what follows from a question as it stands; only an approval that was not completed moves anything."""
    if approval.standing != "approved" or approval.decision is None:
        return Decided(approval=approval, promotion=None, sentence=approval.sentence)
    done = take_over(
        place,
        approval.version,
        actor=approval.decision.actor,
        reason=approval.decision.reason,
        expected_champion=approval.replaces,
        evidence={**approval.evidence, "approved": approval.decision.sequence},
        cause=_cause(approval.decision.sequence),
    )
    if done.is_champion:
        standing: Literal["promoted"] = "promoted"
        approval = approval.model_copy(update={"standing": standing})
    sentence = f"{done.sentence}; {approval.sentence}"
    return Decided(approval=approval, promotion=done.promotion, rollout=done.rollout, sentence=sentence)


def _cause(decision: int) -> str:
    """Name a decision as what leads to a rollout."""
    return f"approval {decision}"


def outcome_after(place: Place, approval: Approval) -> TrainingOutcome:
    """Return how the run that asked ends, as the question stands; the run's folder is told when it is on this machine.

    Raises:
        StorageError: The store cannot be reached.
    """
    stored = TrainingOutcome.model_validate_json(place.store.read(_key(place, approval.version)))
    standing: Standing = approval.standing
    known = {"approval": standing, "decision": approval.sentence, "promoted": standing == "promoted"}
    outcome = outcome_with(stored, _taken_over(place, approval)).model_copy(update=known)
    folder = place.workplace.run_folder(outcome.run_key)
    if folder.is_dir():
        keep_outcome(folder, outcome)
    return outcome


def _taken_over(place: Place, approval: Approval) -> TakeOver:
    """Return what an approval has led to: its rollout, or a sentence where another one was in the way."""
    if approval.decision is None or approval.decision.kind != "approved":
        return TakeOver()
    return TakeOver(rollout=caused(place, approval.version, _cause(approval.decision.sequence)))


def _key(place: Place, version: int) -> str:
    return f"approvals/{place.project.name}/{version}.json"


def _check_words(actor: str, reason: str) -> None:
    for name, text in (("the name of who decides", actor), ("the reason", reason)):
        if not text.strip():
            raise UsageError(f"{name} is empty", cure="The ledger keeps who decided, and why.")
