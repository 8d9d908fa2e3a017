"""What the challenger of a run is worth, alone and against the champion, and what the gate says."""

import numpy as np

from tiltyard.bundle.model import Columns, FittedModel, Predictions
from tiltyard.bundle.sandbox import Verification
from tiltyard.data.coercion import feature_columns, target_array
from tiltyard.data.parts import Part
from tiltyard.data.row_keys import row_keys
from tiltyard.evaluation.baseline import compare_with_constant
from tiltyard.evaluation.gate import judge
from tiltyard.evaluation.paired import align
from tiltyard.evaluation.records import Evidence, Scorecard, Verdict
from tiltyard.evaluation.scorecard import evaluate
from tiltyard.evaluation.terms import Labels
from tiltyard.project.section import Section
from tiltyard.registry.records import ModelRef
from tiltyard.steps.champion import champion_mode, champion_runtime, seen_rows
from tiltyard.steps.data import load_split, load_table
from tiltyard.steps.jury import Jury, compare_answers, jury_of
from tiltyard.steps.run import TrainingRun
from tiltyard.steps.training import FittedRef, load_model


class Evaluation(Section):
    """What was measured.

    Attributes:
        challenger: What the challenger is worth on the test rows.
        champion: What the champion is worth on those it has not seen; None without one, or with too few rows.
        evidence: Comparisons for the gate, bundle figures still open.
    """

    challenger: Scorecard
    champion: Scorecard | None
    evidence: Evidence


def evaluate_models(run: TrainingRun, fitted: FittedRef, champion: ModelRef | None) -> Evaluation:
    """Score the challenger on the test rows, and compare it with the champion on those the champion has not seen.

    Raises:
        DataError: A model's answers are not finite, or there are too few rows to measure anything.
        RegistryError: The champion's files cannot be had.
    """
    frame, split = load_table(run), load_split(run)
    jury = jury_of(run, split, frame)
    model = load_model(fitted.model)
    answers = model.predict(jury.columns)
    scorecard = evaluate(
        model.predict,
        jury.columns,
        jury.y,
        contract=run.contract,
        primary=run.project.gate_metric,
        threshold=model.threshold,
        groups=jury.groups,
        seed=run.project.search.seed,
    )
    if champion is None:
        learnt = target_array(frame, run.contract)[split.rows(Part.TRAIN, Part.VALIDATION)]
        baseline = compare_with_constant(
            run.project.gate_metric,
            run.contract.task,
            learnt,
            jury.y,
            answers,
            threshold=model.threshold,
            groups=jury.groups,
            alpha=run.project.gates.alpha,
        )
        return Evaluation(challenger=scorecard, champion=None, evidence=Evidence(baseline=baseline))
    return _against(run, scorecard, model, jury, champion)


def test_answers(run: TrainingRun, fitted: FittedRef) -> tuple[Labels, Predictions]:
    """Return the true answers of the test rows, and the challenger's."""
    jury = jury_of(run, load_split(run), load_table(run))
    return jury.y, load_model(fitted.model).predict(jury.columns)


def _against(run: TrainingRun, scorecard: Scorecard, model: FittedModel, jury: Jury, champion: ModelRef) -> Evaluation:
    """Compare a challenger with the champion on rows that neither was trained on."""
    runtime = champion_runtime(run, champion)
    known = np.isin(row_keys(jury.frame, runtime.contract), seen_rows(run, champion))
    unseen = np.flatnonzero(~known).astype(np.int64)
    fair = jury.take(unseen)
    evidence = Evidence(
        champion=str(champion.version),
        comparable_rows=len(unseen),
        champion_mode=champion_mode(run, champion),
    )
    if len(unseen) < run.project.gates.min_rows:
        return Evaluation(challenger=scorecard, champion=None, evidence=evidence)

    def champion_answers(columns: Columns) -> Predictions:
        return align(runtime.predict(columns), runtime.classes, run.contract.classes)

    columns = {**feature_columns(fair.frame, runtime.contract), **fair.columns}
    theirs = evaluate(
        champion_answers,
        columns,
        fair.y,
        contract=run.contract,
        primary=run.project.gate_metric,
        threshold=runtime.threshold,
        groups=fair.groups,
        seed=run.project.search.seed,
    )
    thresholds = (model.threshold, runtime.threshold)
    ours, other = model.predict(fair.columns), champion_answers(columns)
    evidence = evidence.model_copy(update=compare_answers(run, fair, ours, other, thresholds))
    return Evaluation(challenger=scorecard, champion=theirs, evidence=evidence)


def gate(run: TrainingRun, evaluation: Evaluation, verification: Verification, bytes_on_disk: int) -> Verdict:
    """Decide about the challenger."""
    evidence = evaluation.evidence.model_copy(
        update={"latency_ms": verification.latency_ms, "size_bytes": bytes_on_disk}
    )
    return judge(run.project.gates, evaluation.challenger, evidence)
