"""The training flow: from a table to a judged, registered challenger, and to a champion when it wins."""

from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows import approval
from flows.ending import explained
from flows.notifying import page_of, tell, tell_failure
from tasks import artifacts, bundling, data, judging, registering, training
from tasks.step import kept, kept_for, read_anew_when_wrong
from tiltyard.data.as_of import AsOf
from tiltyard.errors import TiltyardError
from tiltyard.evaluation.records import Verdict
from tiltyard.project.loading import load_project
from tiltyard.steps.approving import wanted as asked_because
from tiltyard.steps.judging import Evaluation
from tiltyard.steps.notifying import verdict_notice
from tiltyard.steps.pages import outcome_in_words
from tiltyard.steps.place import Place
from tiltyard.steps.promoting import Documented, outcome_of
from tiltyard.steps.registering import Registered
from tiltyard.steps.run import (
    Mode,
    TrainingOutcome,
    TrainingRun,
    assign,
    conclude,
    earlier_outcome,
    identify,
    one_at_a_time,
)
from tiltyard.steps.taking_over import outcome_with, refreshed


def _title() -> str:
    """Name a flow run: the project, and why it runs."""
    given = flow_run.parameters
    file = Path(given["project"])
    try:
        name = load_project(file).name
    except TiltyardError:
        name = file.stem if file.suffix else file.name
    kind = "dry run" if given.get("dry_run") else "training"
    known = f" on what was known {given['as_of']}" if given.get("as_of") else ""
    return f"{name}: {given.get('reason') or kind + known}"


@flow(
    name="train",
    flow_run_name=_title,
    persist_result=False,
    validate_parameters=True,
    on_failure=[tell_failure],
    on_crashed=[tell_failure],
)
@explained(outcome_in_words)
def train(  # noqa: PLR0913  # one parameter a field of the form in Prefect's UI
    project: Path,
    *,
    reason: str = "",
    seconds: Annotated[float, Field(gt=0)] | None = None,
    trials: Annotated[int, Field(ge=1)] | None = None,
    mode: Mode | None = None,
    dry_run: bool = False,
    promote: bool | None = None,
    as_of: AsOf = None,
) -> TrainingOutcome:
    """Train a challenger, judge it against the champion, register it, and promote it when it wins.

    Args:
        project: The project file, or the folder that holds it.
        reason: Why the run was started.
        seconds: Wall time of the search, in place of the project file's.
        trials: Number of trials, in place of the project file's. Given alone, no time limit applies.
        mode: What the challenger must show, in place of the project file's.
        dry_run: Whether to stop at the verdict: nothing is registered, nothing promoted.
        promote: Whether a winner becomes champion by this run; left out, it does unless `as_of` is given.
        as_of: Train on what was known then: rows of a later time are left out. A date means the end of that day (UTC).

    Returns:
        How it ended; when the same run was done before, how that one ended.

    Raises:
        TiltyardError: Something went wrong that a person can cure; says what to do.
    """
    settled = approval.resumed(project)
    if settled is not None:
        return settled
    wanted = as_of is None if promote is None else promote
    assignment = assign(
        project, reason=reason, seconds=seconds, trials=trials, mode=mode, as_of=as_of, page=page_of(str(flow_run.id))
    )
    this = str(flow_run.id)
    with (
        approval.catching_up(Place(assignment.project, assignment.workplace)),
        one_at_a_time(assignment),
        read_anew_when_wrong(assignment, this),
    ):
        run = identify(assignment, kept_for(data.ingest, assignment, this)(assignment))
        earlier = None if dry_run else earlier_outcome(run, promote=wanted)
        if earlier is not None and registering.is_there(run):
            return refreshed(Place(run.project, run.workplace), earlier)
        return _carry_out(run, promote=wanted, dry_run=dry_run)


def _carry_out(run: TrainingRun, *, promote: bool, dry_run: bool) -> TrainingOutcome:
    """Do every step that an interrupted run of the same key has not done."""
    champion = judging.find_opponent(run)
    summary = kept(data.examine, run)(run)
    artifacts.show_validation(run, summary)
    kept(data.check, run)(run, champion, summary)
    parts = kept(data.split, run)(run)
    with artifacts.search_shown(run):
        result = kept(training.tune, run)(run)
    artifacts.show_leaderboard(run, result)
    fitted = kept(training.fit, run)(run, result)
    evaluation = kept(judging.evaluate, run)(run, fitted, champion)
    artifacts.show_scores(run, evaluation)
    bundle = kept(bundling.build, run)(run, fitted)
    verification = kept(bundling.verify, run)(run, bundle)
    verdict = kept(judging.judge, run)(run, evaluation, verification, bundle.manifest.size_bytes)
    if dry_run:
        documented = kept(registering.sketch, run)(
            run, fitted=fitted, parts=parts, evaluation=evaluation, verdict=verdict
        )
        artifacts.show_verdict(run, None, evaluation, verdict, documented)
        return outcome_of(run, None, evaluation, verdict, card=documented.card, promoted=False)
    registered = registering.register(
        run, parts=parts, result=result, fitted=fitted, scorecard=evaluation.challenger, bundle=bundle
    )
    documented = registering.document(
        run, fitted=fitted, parts=parts, registered=registered, evaluation=evaluation, verdict=verdict
    )
    artifacts.show_verdict(run, registered, evaluation, verdict, documented)
    artifacts.show_links(run, registered)
    return _decide(run, registered, evaluation, verdict, documented, promote=promote)


def _decide(
    run: TrainingRun,
    registered: Registered,
    evaluation: Evaluation,
    verdict: Verdict,
    documented: Documented,
    *,
    promote: bool,
) -> TrainingOutcome:
    """Do what follows from the verdict, or let a person decide, and end the run."""
    outcome = outcome_of(run, registered, evaluation, verdict, card=documented.card, promoted=False)
    why = asked_because(run.project.gates, verdict) if promote else None
    if why is not None:
        outcome = approval.ask(run, registered, evaluation, outcome, why)
    elif promote and verdict.outcome == "promote":
        outcome = outcome_with(outcome, registering.promote(run, registered, evaluation, verdict))
    if outcome.rollout is not None:
        artifacts.show_rollout(Place(run.project, run.workplace), outcome.rollout)
    tell(run.workplace, verdict_notice(outcome, run.page))
    return conclude(run, outcome)
