"""`tiltyard rollout`: a new version takes over step by step, and comes back by itself when it does harm."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption

if TYPE_CHECKING:
    from tiltyard.registry.rollout import Rollout
    from tiltyard.steps.rolling_out import View

Way = Literal["canary", "blue_green", "shadow"]
ReasonOption = Annotated[str, typer.Option(help="Why, for the ledger.")]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Look again every 2 s until it has ended.")]

_PAUSE = 2.0


def start(
    *,
    version: Annotated[int, typer.Argument(min=1, help="Version that is to become champion.")],
    strategy: Annotated[
        Way | None, typer.Option(help="How; the project file's `rollout.strategy` when left out, else canary.")
    ] = None,
    reason: ReasonOption = "started by hand",
    project: ProjectOption = HERE,
    watch: WatchOption = False,
    json: JsonOption = False,
) -> None:
    """Start the rollout of a version by a person's decision, whatever the gate said.

    Examples:
      tiltyard rollout start 7 --strategy canary --reason "approved in the model review"
      tiltyard rollout start 7 --strategy shadow --watch
    """
    _check(watch=watch, json=json)
    from tiltyard.steps.place import open_place
    from tiltyard.steps.rolling_out import begin

    place = open_place(project)
    show(begin(place, version, strategy=strategy, reason=reason), json=json)
    if watch:
        status(project=project, watch=True)


def status(*, project: ProjectOption = HERE, watch: WatchOption = False, json: JsonOption = False) -> None:
    """Show the rollout in force and what was seen of it, or how the last one ended.

    With --watch it ends with 11 when the version did not become champion.

    Examples:
      tiltyard rollout status
      tiltyard rollout status --watch
      tiltyard rollout status --json
    """
    _check(watch=watch, json=json)
    from tiltyard.registry.rollout import latest
    from tiltyard.steps.place import open_place
    from tiltyard.steps.rolling_out import look

    place = open_place(project)
    found = latest(place.ledger.entries())
    if found is None:
        show(None, json=json)
        return
    view = look(place, found)
    _show_view(view, json=json)
    while watch and view.rollout.is_standing:
        time.sleep(_PAUSE)
        now = look(place, found)
        if (now.rollout, now.decision.sentence) != (view.rollout, view.decision.sentence):
            _show_view(now, json=False)
        view = now
    if watch and view.rollout.outcome != "promoted":
        raise typer.Exit(_NOT_CHAMPION)


def promote(*, reason: ReasonOption, project: ProjectOption = HERE, json: JsonOption = False) -> None:
    """End the rollout in force at once: its candidate becomes champion by a person's decision.

    Examples:
      tiltyard rollout promote --reason "seen enough"
    """
    from tiltyard.cli.output import say, write_json
    from tiltyard.steps.place import open_place
    from tiltyard.steps.rolling_out import finish

    done = finish(open_place(project), reason=reason)
    if json:
        write_json(done.model_dump(mode="json"))
    else:
        say(f"{done.ref.name}: {done.sentence}.")


def give_back(*, reason: ReasonOption, project: ProjectOption = HERE, json: JsonOption = False) -> None:
    """End the rollout in force at once: the champion answers everything again, and the candidate is refused.

    Examples:
      tiltyard rollout return --reason "customers complain"
    """
    from tiltyard.steps.place import open_place
    from tiltyard.steps.rolling_out import give_back as end

    show(end(open_place(project), reason=reason), json=json)


_NOT_CHAMPION = 11

COMMANDS: dict[str, Callable[..., None]] = {"start": start, "status": status, "promote": promote, "return": give_back}
"""Words after `tiltyard rollout`."""


def _check(*, watch: bool, json: bool) -> None:
    from tiltyard.errors import UsageError

    if watch and json:
        raise UsageError("--watch is for people and --json prints one document", cure="Give one of them.")


def show(found: "Rollout | None", *, json: bool) -> None:
    """Say how a rollout stands.

    Args:
        found: The rollout; None when there never was one.
        json: Whether to say it as one JSON document.
    """
    from tiltyard.cli.output import say, write_json

    if json:
        write_json(None if found is None else _content(found))
    elif found is None:
        say("No version was ever rolled out; `tiltyard rollout start VERSION` starts it.")
    else:
        say(f"{found.project}: {found.sentence}.")


def _show_view(view: "View", *, json: bool) -> None:
    """Say how a rollout stands, and what the model servers see of it."""
    from tiltyard.cli.output import say, write_json

    if json:
        standing = view.rollout.is_standing
        seen = view.model_dump(mode="json", include={"evidence", "decision"}) if standing else {}
        write_json(_content(view.rollout) | seen)
        return
    show(view.rollout, json=False)
    if view.rollout.outcome is None:
        say(f"  {view.decision.sentence}")


def _content(found: "Rollout") -> dict[str, object]:
    """Return a rollout with what follows from its settings."""
    known = {"share": found.share, "is_standing": found.is_standing, "sentence": found.sentence}
    return {**found.model_dump(mode="json"), **known}
