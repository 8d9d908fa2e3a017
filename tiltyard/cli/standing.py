"""How a home stands: its stack, and of every project the champion, the verdicts, what waits, and the runs."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime

from tiltyard.cli.opening import find_home, find_ledger, find_project
from tiltyard.cli.options import HERE
from tiltyard.errors import TiltyardError
from tiltyard.project.addresses import Addresses, read_addresses
from tiltyard.project.environment import Workplace
from tiltyard.project.section import Section
from tiltyard.registry.approvals import Approval, waiting
from tiltyard.registry.history import MOVES
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.rollout import Rollout
from tiltyard.registry.rollout import standing as standing_rollout
from tiltyard.stack.health import Health, fetch, health
from tiltyard.stack.marks import marked

_VERDICTS = 3
_RUNS = 5
_NEXT = 2


class Reign(Section):
    """The champion by the ledger.

    Attributes:
        version: Which version.
        since: When it became champion.
        by: Who made it champion.
        reason: Why.
    """

    version: int
    since: AwareDatetime
    by: str
    reason: str


class Judgement(Section):
    """A verdict on a challenger.

    Attributes:
        version: Which version.
        verdict: `promote`, `refuse` or `inconclusive`.
        time: When.
        sentence: Why.
    """

    version: int | None
    verdict: str
    time: AwareDatetime
    sentence: str


class RunLine(Section):
    """A run as Prefect knows it.

    Attributes:
        name: Its name.
        flow: Which flow it is of.
        state: Its state.
        time: When it ended, else started, else when it is due.
        message: What the state says of itself.
        url: Its page in Prefect's UI.
    """

    name: str
    flow: str
    state: str
    time: datetime | None
    message: str
    url: str


class ProjectStanding(Section):
    """How one project stands; what cannot be known is in `trouble`.

    Attributes:
        name: Its name; its file's path when that cannot be read.
        file: Its project file.
        champion: The champion by the ledger; None when there is none.
        vacant: Why there is none any more, and what to do; None while there is one, or never was.
        served: What the model server answers with: version, since, refused; None when none answers.
        verdicts: The last verdicts, newest first.
        approvals: What waits for a person's decision, oldest first.
        rollout: The rollout in force; None when there is none.
        last: The last runs, newest first.
        next: The runs to come, the next first.
        schedule: When runs start by themselves, in cron's words; None when they do not.
        trouble: What could not be asked, and why.
    """

    name: str
    file: str
    champion: Reign | None = None
    vacant: str | None = None
    served: dict[str, Any] | None = None
    verdicts: tuple[Judgement, ...] = ()
    approvals: tuple[Approval, ...] = ()
    rollout: Rollout | None = None
    last: tuple[RunLine, ...] = ()
    next: tuple[RunLine, ...] = ()
    schedule: str | None = None
    trouble: tuple[str, ...] = ()


class Standing(Section):
    """How a home stands.

    Attributes:
        home: The home.
        stack: Addresses of its local stack; None when none is up.
        parts: How the parts of the stack are.
        left: Processes of a stack whose supervisor is gone.
        projects: How its projects stand.
    """

    home: str
    stack: Addresses | None
    parts: tuple[Health, ...]
    left: int = 0
    projects: tuple[ProjectStanding, ...]


def standing(paths: Sequence[Path]) -> Standing:
    """Ask everything that is there how it stands.

    Args:
        paths: Project files, or their folders; when empty those of the stack, else the one here.

    Raises:
        ProjectError: There is neither a stack nor a project that can be read.
    """
    home = find_home(paths[0] if paths else HERE)
    stack = read_addresses(home)
    files = list(paths) or [Path(file) for file in (stack.projects if stack else ())] or [HERE]
    projects = tuple(_project(file, stack, strict=stack is None and len(files) == 1) for file in files)
    left = 0 if stack else len(marked(home))
    return Standing(home=str(home), stack=stack, parts=health(stack) if stack else (), left=left, projects=projects)


def _project(path: Path, stack: Addresses | None, *, strict: bool) -> ProjectStanding:
    """Ask how one project stands; with `strict` a project file that cannot be read is an error."""
    try:
        project, workplace = find_project(path)
    except TiltyardError as error:
        if strict:
            raise
        return ProjectStanding(name=str(path), file=str(path), trouble=(str(error),))
    found: dict[str, Any] = {"name": project.name, "file": str(workplace.project_file)}
    if project.schedule.cron:
        found["schedule"] = f"{project.schedule.cron} ({project.schedule.timezone})"
    trouble = []
    for ask in (_ask_ledger, _ask_server, _ask_prefect):
        try:
            found |= ask(project.name, workplace, stack)
        except TiltyardError as error:
            trouble.append(str(error))
    return ProjectStanding(**found, trouble=tuple(trouble))


def _ask_ledger(_: str, workplace: Workplace, __: Addresses | None) -> dict[str, Any]:
    """Ask who is champion, what was judged, and what waits."""
    ledger = find_ledger(workplace.project_file)
    return {
        "champion": _reign(ledger),
        "vacant": _vacancy(ledger),
        "verdicts": _verdicts(ledger),
        "approvals": waiting(ledger),
        "rollout": standing_rollout(ledger.entries()),
    }


def _reign(ledger: Ledger) -> Reign | None:
    state = ledger.state()
    if state.champion is None or state.since is None:
        return None
    since = state.since
    return Reign(version=state.champion, since=since.time, by=since.actor, reason=since.reason or since.kind)


def _vacancy(ledger: Ledger) -> str | None:
    """Say why a project that had a champion has none."""
    losses = [entry for entry in ledger.entries() if entry.kind in {*MOVES, "deleted"}]
    if ledger.state().champion is not None or not losses:
        return None
    emptied = (losses[-1].kind, losses[-1].version) == ("deleted", None)
    again = "`tiltyard rollback`, or `tiltyard promote VERSION --reason …`, puts one there"
    cure = "`tiltyard train` makes the first of a new model" if emptied else again
    return f"{losses[-1].reason} ({losses[-1].time:%Y-%m-%d %H:%M} UTC); {cure}"


def _verdicts(ledger: Ledger) -> tuple[Judgement, ...]:
    entries = ledger.entries()
    emptied = [entry.sequence for entry in entries if (entry.kind, entry.version) == ("deleted", None)]
    judged = [entry for entry in entries[emptied[-1] if emptied else 0 :] if entry.kind == "judged"]
    return tuple(
        Judgement(
            version=entry.version,
            verdict=str(entry.evidence.get("verdict", "")),
            time=entry.time,
            sentence=entry.reason,
        )
        for entry in judged[: -_VERDICTS - 1 : -1]
    )


def _ask_server(name: str, workplace: Workplace, stack: Addresses | None) -> dict[str, Any]:
    """Ask the model server of the stack what it answers with."""
    if stack is None:
        return {}
    token = workplace.environment.token
    told = token.get_secret_value() if token else None
    models = fetch(f"{stack.server}/v1/models", token=told, certificate=stack.certificate)["models"]
    return {"served": next((model for model in models if model["model"] == name), None)}


def _ask_prefect(name: str, workplace: Workplace, _: Addresses | None) -> dict[str, Any]:
    """Ask Prefect about the runs, where a server is known."""
    api = workplace.prefect_api
    if api is None:
        return {}
    from flows.local import prepare

    prepare(workplace)
    from flows.runs import Run, recent, upcoming

    def line(run: Run) -> RunLine:
        time = run.ended or run.started or run.due
        return RunLine(name=run.name, flow=run.flow, state=run.state, time=time, message=run.message, url=run.url)

    return {
        "last": tuple(map(line, recent(api, name, limit=_RUNS))),
        "next": tuple(map(line, upcoming(api, name, limit=_NEXT))),
    }
