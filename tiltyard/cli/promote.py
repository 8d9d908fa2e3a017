"""`tiltyard promote` and `tiltyard rollback`: a person moves the champion, on the record."""

from typing import TYPE_CHECKING, Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption

if TYPE_CHECKING:
    from tiltyard.registry.records import Promotion


def promote(
    *,
    version: Annotated[int, typer.Argument(min=1, help="Version that becomes champion.")],
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")],
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Make a version champion by a person's decision, whatever the gate said.

    Examples:
      tiltyard promote 7 --reason "approved in the model review of 12 November"
    """
    from tiltyard.registry import by_hand, promotion, rollouts
    from tiltyard.steps.place import open_place

    place = open_place(project)
    gates = place.project.gates
    by_hand.settle(place.ledger, place.registry, gates)
    done = promotion.promote(
        place.ledger,
        place.registry,
        version,
        actor=place.workplace.actor,
        reason=reason,
        expected_champion=place.ledger.champion(),
        gates=gates,
    )
    rollouts.tidy(place.ledger, place.registry, gates)
    _show(done, json=json)


def rollback(
    *,
    project: ProjectOption = HERE,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "rolled back by hand",
    json: JsonOption = False,
) -> None:
    """Return to the last champion that was good; during a rollout, from the candidate to the champion.

    Examples:
      tiltyard rollback --reason "version 7 refuses every customer from Malta"
    """
    from tiltyard.cli.rollout import show
    from tiltyard.registry import promotion
    from tiltyard.registry.rollout import standing
    from tiltyard.steps.place import open_place
    from tiltyard.steps.rolling_out import give_back

    place = open_place(project)
    rollout = standing(place.ledger.entries())
    if rollout is not None and rollout.outcome is None:
        show(give_back(place, reason=reason), json=json)
        return
    done = promotion.rollback(
        place.ledger, place.registry, actor=place.workplace.actor, reason=reason, gates=place.project.gates
    )
    _show(done, json=json)


def _show(done: "Promotion", *, json: bool) -> None:
    """Say what a move of the champion did."""
    from tiltyard.cli.output import say, write_json

    if json:
        write_json(done.model_dump(mode="json"))
    else:
        say(f"{done.ref.name}: {done.sentence}.")
