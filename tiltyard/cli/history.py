"""`tiltyard history`: which version was champion when, who put it there, and why."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption
from tiltyard.errors import RegistryError, UsageError

if TYPE_CHECKING:
    from tiltyard.registry.entry import Entry
    from tiltyard.registry.ledger import Ledger


def history(
    *,
    project: ProjectOption = HERE,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Say which version was champion then (ISO 8601, UTC).")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check that no entry was changed or removed.")] = False,
    json: JsonOption = False,
) -> None:
    """Show what happened to every version: when, by whom, and why.

    Examples:
      tiltyard history
      tiltyard history --at 2026-11-17T14:00
      tiltyard history --verify --json
    """
    from tiltyard.cli.opening import find_ledger

    moment = None if at is None else _moment(at)
    ledger = find_ledger(project)
    if verify:
        damage = ledger.verify()
        if damage is not None:
            raise RegistryError(
                f"the ledger was changed: {damage.sentence}",
                where=f"ledger of {ledger.project}, entry {damage.sequence}",
                cure="Put the entry back from a copy of the store; what the chain holds before it can be trusted.",
            )
    if moment is not None:
        _show_moment(ledger, moment, json=json)
    else:
        _show_entries(ledger.entries(), verified=verify, json=json)


def _moment(text: str) -> datetime:
    """Read a time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`{text}` is not a time", cure="Write it as in 2026-11-17T14:00 (UTC).") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _show_moment(ledger: "Ledger", moment: datetime, *, json: bool) -> None:
    """Say which version was champion at a moment, who put it there and why."""
    from tiltyard.cli.output import say, write_json

    state = ledger.state_at(moment)
    if json:
        since = state.since.model_dump(mode="json") if state.since else None
        write_json({"project": ledger.project, "at": moment.isoformat(), "champion": state.champion, "since": since})
    elif state.champion is None or state.since is None:
        say(f"{ledger.project} had no champion at {_time(moment)}.")
    else:
        entry = state.since
        say(f"{ledger.project} version {state.champion} was champion at {_time(moment)}.")
        say(f"Put there by {entry.actor} at {_time(entry.time)}: {entry.reason or entry.kind}")


def _show_entries(entries: tuple["Entry", ...], *, verified: bool, json: bool) -> None:
    """Show the whole ledger."""
    from tiltyard.cli.output import say, write_json
    from tiltyard.cli.tables import show_table

    if json:
        write_json([entry.model_dump(mode="json") for entry in entries])
        return
    if not entries:
        say("Nothing has happened yet. `tiltyard train` makes the first version.")
        return
    rows = list(_rows(entries))
    show_table(("#", "time (UTC)", "what", "version", "before", "who", "why"), rows)
    if len(rows) < len(entries):
        say("A number that is not shown is the beginning of a move whose end is; --json has them all.")
    if verified:
        say(f"Verified: none of the {len(entries)} entries was changed or removed.")


def _rows(entries: tuple["Entry", ...]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of what people want to read.

    An intent whose end is recorded is left out, and a reason is not repeated; `--json` has every entry whole.
    """
    ended = {entry.evidence.get("begun") for entry in entries}
    told: dict[tuple[int | None, str], int] = {}
    for entry in entries:
        if entry.sequence in ended:
            continue
        first = told.setdefault((entry.version, entry.reason), entry.sequence)
        reason = entry.reason if first == entry.sequence else f"as in # {first}"
        yield (
            str(entry.sequence),
            _time(entry.time).removesuffix(" UTC"),
            entry.kind.replace("_", " "),
            "" if entry.version is None else str(entry.version),
            "" if entry.replaces is None else str(entry.replaces),
            entry.actor,
            reason,
        )


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
