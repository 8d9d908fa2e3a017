"""`tiltyard train`: from a table to a judged, registered challenger, and to a champion when it wins."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption

if TYPE_CHECKING:
    from tiltyard.evaluation.records import Estimate
    from tiltyard.steps.run import TrainingOutcome


def train(
    *,
    project: ProjectOption = HERE,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Wall time of the search, in place of the project file's.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of trials, in place of the project file's; deterministic.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "started by hand",
    mode: Annotated[
        Literal["superiority", "non_inferiority"] | None,
        typer.Option(help="What the challenger must show, in place of the project file's."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Train on what was known at the end of that day (or at that moment), UTC."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop at the verdict; register nothing.")] = False,
    promote: Annotated[
        bool | None,
        typer.Option(
            "--promote/--hold",
            help="Whether a winner becomes champion at once; it does unless --as-of is given.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train a challenger, judge it against the champion, register it, and promote it when it wins.

    The same data and configuration again redo nothing; a run that was killed goes on where it was.

    Examples:
      tiltyard train
      tiltyard train --seconds 300 --reason "new autumn data"
      tiltyard train --trials 40 --hold --json
      tiltyard train --dry-run --mode non_inferiority
      tiltyard train --as-of 2026-09-30
    """
    from flows.local import temporary_server
    from tiltyard.cli.opening import find_project
    from tiltyard.cli.output import write_json
    from tiltyard.cli.tables import progress_bar

    found, workplace = find_project(project)
    server = temporary_server(workplace)

    from flows import training
    from flows.orchestrator import tagged, using
    from tiltyard.data.as_of import read_as_of
    from tiltyard.steps.progress import listening

    with progress_bar("reading and checking", hidden=json) as bar, listening(bar), using(server), tagged(found.name):
        outcome = training.train(
            workplace.project_file,
            reason=reason,
            seconds=seconds,
            trials=trials,
            mode=mode,
            dry_run=dry_run,
            promote=promote,
            as_of=read_as_of(as_of),
        )
    if json:
        write_json(outcome.model_dump(mode="json"))
    else:
        _show(outcome)


def _show(outcome: "TrainingOutcome") -> None:
    """Say how a run ended, and where to look."""
    from tiltyard.cli.output import say
    from tiltyard.project.metrics import METRICS

    verdict, scorecard = outcome.verdict, outcome.scorecard
    if outcome.repeated:
        say("Same data, same configuration: everything was done before, nothing was redone.")
    primary = scorecard.metrics[scorecard.primary]
    name = outcome.project if outcome.version is None else f"{outcome.project} version {outcome.version}"
    say(f"{name}: {verdict.outcome}", style=verdict.outcome)
    say(verdict.sentence)
    say(f"{METRICS[scorecard.primary].title} {_interval(primary)} on {scorecard.rows:,} test rows.")
    say(_champion(outcome))
    say(f"Model card:         {outcome.card}")
    say(f"Validation report:  {outcome.report}")
    if outcome.mlflow_run is not None:
        say(f"MLflow run:         {outcome.mlflow_run}")


def _interval(estimate: "Estimate") -> str:
    return f"{estimate.value:.4g} (95 % interval {estimate.low:.4g} to {estimate.high:.4g})"


def _champion(outcome: "TrainingOutcome") -> str:
    """Say who is champion now, or what is on its way to be."""
    rollout = outcome.rollout
    if rollout is not None:
        follow = " Follow it by `tiltyard rollout status --watch`." if rollout.is_standing else ""
        return f"{rollout.sentence[:1].upper()}{rollout.sentence[1:]}.{follow}"
    return f"Held back: {outcome.held}." if outcome.held else _at_once(outcome)


def _at_once(outcome: "TrainingOutcome") -> str:
    """Say who is champion now, where no rollout comes between."""
    if outcome.version is None:
        return "A dry run: nothing is registered, nothing promoted."
    if outcome.promoted:
        before = f", after version {outcome.champion_before}" if outcome.champion_before is not None else ""
        return f"Version {outcome.version} is the champion{before}."
    if outcome.approval is not None:
        number = outcome.version
        waits = f"Waits for a person's decision: `tiltyard approve {number}` or `tiltyard reject {number}`."
        return waits if outcome.approval == "waiting" else f"Not promoted: the question about it is {outcome.approval}."
    if outcome.verdict.outcome == "promote":
        return f"Held back; `tiltyard promote {outcome.version} --reason …` makes it champion."
    if outcome.champion_before is not None:
        return f"Version {outcome.champion_before} stays the champion."
    return "There is no champion yet."
