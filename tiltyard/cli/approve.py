"""`tiltyard approve` and `tiltyard reject`: a person's decision about a version that waits for one."""

from typing import TYPE_CHECKING, Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption

if TYPE_CHECKING:
    from tiltyard.registry.approvals import Choice

VersionArgument = Annotated[int, typer.Argument(min=1, help="Version that waits; `tiltyard approvals` lists them.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for the ledger.")]


def approve(
    *, version: VersionArgument, reason: ReasonOption, project: ProjectOption = HERE, json: JsonOption = False
) -> None:
    """Make a version champion that waits for a person's approval.

    Nothing is moved when it was rejected before, when its time is over, or when the champion that it was judged
    against is champion no more.

    Examples:
      tiltyard approve 7 --reason "model review of 12 November"
    """
    _decide("approve", version, reason, project, json=json)


def reject(
    *, version: VersionArgument, reason: ReasonOption, project: ProjectOption = HERE, json: JsonOption = False
) -> None:
    """Leave the champion where it is, and close the question about a version.

    Examples:
      tiltyard reject 7 --reason "worse for young customers"
    """
    _decide("reject", version, reason, project, json=json)


def _decide(choice: "Choice", version: int, reason: str, project: ProjectOption, *, json: bool) -> None:
    """Carry out a decision, and end the run at Prefect that waits for it."""
    from flows.local import prepare
    from tiltyard.cli.opening import find_project

    _, workplace = find_project(project)
    prepare(workplace)

    from flows.approval import end_waiting
    from tiltyard.cli.output import complain, say, write_json
    from tiltyard.errors import OrchestrationError
    from tiltyard.steps.approving import decide
    from tiltyard.steps.notifying import decision_notice, rollout_notice, tell
    from tiltyard.steps.place import open_place

    place = open_place(project)
    done = decide(place, version, choice, actor=workplace.actor, reason=reason)
    notice = rollout_notice(done.rollout, said=done.sentence) if done.rollout else decision_notice(done.approval)
    for problem in tell(workplace, notice):
        complain(problem)
    try:
        end_waiting(place, done.approval)
    except OrchestrationError as error:
        complain(f"Decided; but the run that waits at Prefect was not told: {error}")
    if json:
        write_json(done.model_dump(mode="json"))
    else:
        say(f"{place.project.name}: {done.sentence}.")
