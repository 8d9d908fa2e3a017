"""The training flow: from a table to a judged, registered challenger, and to a champion when it wins."""

from pathlib import Path

from prefect import flow

from tasks import bundling, data, judging, registering, training
from tasks.step import kept
from tiltyard.steps.promoting import outcome_of
from tiltyard.steps.run import (
    TrainingOutcome,
    TrainingRun,
    assign,
    conclude,
    earlier_outcome,
    identify,
    one_at_a_time,
)


@flow(name="train", persist_result=False, validate_parameters=True)
def train(
    project_file: Path,
    *,
    seconds: float | None = None,
    trials: int | None = None,
    reason: str = "",
    promote: bool = True,
) -> TrainingOutcome:
    """Train a challenger, judge it against the champion, register it, and promote it when it wins.

    Args:
        project_file: The project file, or the folder that holds it.
        seconds: Wall time of the search, in place of the project file's.
        trials: Number of trials, in place of the project file's.
        reason: Why the run was started.
        promote: Whether a winner becomes champion by this run.

    Returns:
        How it ended; when the same run was done before, how that one ended.

    Raises:
        TiltyardError: Something went wrong that a person can cure; says what to do.
    """
    assignment = assign(project_file, seconds=seconds, trials=trials, reason=reason)
    with one_at_a_time(assignment):
        run = identify(assignment, data.ingest(assignment))
        return earlier_outcome(run, promote=promote) or _carry_out(run, promote=promote)


def _carry_out(run: TrainingRun, *, promote: bool) -> TrainingOutcome:
    """Do every step that an interrupted run of the same key has not done."""
    champion = judging.find_opponent(run)
    kept(data.check, run)(run, champion)
    parts = kept(data.split, run)(run)
    result = kept(training.tune, run)(run)
    fitted = kept(training.fit, run)(run, result)
    evaluation = kept(judging.evaluate, run)(run, fitted, champion)
    bundle = kept(bundling.build, run)(run, fitted)
    verification = kept(bundling.verify, run)(run, bundle)
    registered = kept(registering.register, run)(
        run, parts=parts, result=result, fitted=fitted, scorecard=evaluation.challenger, bundle=bundle
    )
    verdict = kept(judging.judge, run)(run, evaluation, verification, bundle.manifest.size_bytes)
    documented = kept(registering.document, run)(
        run, fitted=fitted, parts=parts, registered=registered, evaluation=evaluation, verdict=verdict
    )
    promoted = promote and verdict.outcome == "promote"
    if promoted:
        registering.promote(run, registered, evaluation, verdict)
    outcome = outcome_of(run, registered, evaluation, verdict, card=documented.card, promoted=promoted)
    return conclude(run, outcome)
