"""`tiltyard check`: is the table what the contract promises, without training anything."""

from typing import TYPE_CHECKING

from tiltyard.cli.options import HERE, JsonOption, ProjectOption

if TYPE_CHECKING:
    from tiltyard.steps.data import CheckSummary


def check(*, project: ProjectOption = HERE, json: JsonOption = False) -> None:
    """Check the table against its contract and write the validation report; train nothing.

    Ends with 3 where a training run would be stopped.

    Examples:
      tiltyard check
      tiltyard check --project churn/ --json
    """
    from tiltyard.data.checks import stop_on
    from tiltyard.steps.data import examine, read_table
    from tiltyard.steps.run import assign, identify

    assignment = assign(project)
    summary = examine(identify(assignment, read_table(assignment)))
    _show(summary, json=json)
    stop_on(summary.findings, assignment.project.data.checks)


def _show(summary: "CheckSummary", *, json: bool) -> None:
    """Say what was found, and where the report is."""
    from tiltyard.cli.output import say, write_json

    if json:
        write_json(summary.model_dump(mode="json"))
        return
    for finding in summary.findings:
        say(f"{finding.level}: {finding.sentence} {finding.cure}".rstrip(), style=finding.level)
    if not summary.findings:
        say("Nothing was found: the table is what the contract promises.")
    say(f"Validation report: {summary.report}")
