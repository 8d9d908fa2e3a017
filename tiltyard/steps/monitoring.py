"""One check of the champion: seen, judged, decided about, and kept. Nothing is set in motion here."""

import os
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from tiltyard.data.usage import check_watched
from tiltyard.evaluation.figures import figures_key
from tiltyard.monitoring.gauges import figures_of
from tiltyard.monitoring.history import Action, Check, History, earlier, shared, state_of
from tiltyard.monitoring.past import recall
from tiltyard.monitoring.policy import Challenger, Decision, State, decide
from tiltyard.monitoring.sample import Sample
from tiltyard.monitoring.standard import standard_of
from tiltyard.monitoring.summary import Summary, summarise
from tiltyard.monitoring.watching import look, observed, told_apart
from tiltyard.predictions.reading import Window
from tiltyard.project.model import Project
from tiltyard.project.section import Section
from tiltyard.registry import approvals
from tiltyard.registry.rollout import standing
from tiltyard.steps.monitoring_pages import Pages, write_pages
from tiltyard.steps.place import Place, open_place
from tiltyard.steps.window import Watched, end_of_window, see, watched, window_until


class Checked(Section):
    """A check as it ended.

    Attributes:
        check: What was found, and decided.
        summary: The same in a few sentences.
        pages: Where its pages are.
        reason: Why it was made.
    """

    check: Check
    summary: Summary
    pages: Pages
    reason: str = ""

    @property
    def decision(self) -> Decision:
        """What the policy decided."""
        assert self.check.decision is not None
        return self.check.decision


def check_champion(  # one parameter a question that the form asks, and what the caller knows
    project_file: Path,
    *,
    window: str | None = None,
    since: date | datetime | None = None,
    reason: str = "",
    domain: bool = False,
    now: datetime | None = None,
    running: bool = False,
) -> Checked:
    """Check a window, decide what follows, and keep both; the same window again is the same record.

    Args:
        project_file: The project file, or the folder that holds it.
        window: Length of the window as `7d`, or a number of rows; the project file's when None.
        since: Start of the window; None for one that ends now.
        reason: Why it is checked.
        domain: Whether a classifier is asked to tell the window from the reference by all columns together, too.
        now: The present moment, with a time zone; the clock's when None.
        running: Whether a training run of the project is known to be under way.

    Raises:
        UsageError: The window is none, or lies in the future.
        ProjectError: `monitoring` names a column that neither the contract nor the champion knows.
        AbsentError: There is no champion, or it has no reference.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The store cannot be reached.
        DataError: An object of the prediction log, or the reference, is damaged.
    """
    place = open_place(project_file)
    moment = now or datetime.now(UTC)
    end = end_of_window(window, since, place, moment)
    version = watched(place, end)
    check_watched(place.project, place.contract, version.contract)
    seen = see(place, version, window_until(end, window, since, place, version.ref.version))
    history = History(place.store, place.project.name)
    checks = _known(history, place.project, seen.sample.window)
    section = place.project.monitoring
    past = recall(
        earlier(checks, seen.sample.window, seen.version),
        seen.sample.window,
        history.sample,
        small=seen.sample.sample.rows < section.min_rows,
        labelled=seen.labelled is not None,
        standard=standard_of(checks, version.ref.version, version.reference.facts.metric),
    )
    found = look(seen, version.reference, version.contract, past, section, model=place.project.name, made=moment).check
    if domain:
        found = found.model_copy(update={"domain": told_apart(seen, version.reference, section)})
    state = _state(place, version, checks, history.actions(), found, running=running or is_training(place))
    decision = _decide(place, checks, found, state, moment)
    check = found.model_copy(update={"decision": decision})
    key = history.keep(check, _worth_keeping(check, checks, seen.sample.sample))
    others = [other for other in checks if not _is_same(other, check)]
    if not any(other.end > check.end for other in others):
        place.store.write(figures_key(check.model), figures_of(check).model_dump_json().encode())
    pages = write_pages(place, PurePosixPath(key).stem, check, others, seen=seen, reference=version.reference)
    return Checked(check=check, summary=summarise(check), pages=pages, reason=reason)


def _known(history: History, project: Project, window: Window) -> tuple[Check, ...]:
    """Return the checks that may matter for a window: those that the policy looks back to, and the latest."""
    section, length = project.monitoring, window.end - window.start
    back = max(section.label_delay + 2 * length, (section.sustained[1] + 1) * length)
    found = history.checks(since=window.start - back)
    latest = None if found else history.latest()
    return found if latest is None else (latest,)


def _state(
    place: Place,
    version: Watched,
    checks: tuple[Check, ...],
    actions: tuple[Action, ...],
    found: Check,
    *,
    running: bool,
) -> State:
    """Return what the policy must know; what the same check has set in motion before is no part of it."""
    own = [check.decision.trigger for check in checks if _is_same(check, found) and check.decision is not None]
    return state_of(
        [check for check in checks if not _is_same(check, found)],
        [action for action in actions if action.trigger not in own],
        project=place.project.name,
        version=version.ref.version,
        since=version.since,
        trained=version.made,
        running=running,
        challenger=challenger_of(place),
    )


def _decide(place: Place, checks: tuple[Check, ...], found: Check, state: State, moment: datetime) -> Decision:
    """Return what follows from a check; nothing from a look back."""
    others = [check for check in checks if not _is_same(check, found)]
    if any(check.end > found.end for check in others) or place.ledger.champion() != found.version:
        reason = "A look back: a later window was checked, or another version is champion by now."
        return Decision(action="none", reason=reason, told=state.told)
    history = [observed(check) for check in (*others, found)]
    return decide(history, state, place.project.monitoring, moment)


def _is_same(one: Check, other: Check) -> bool:
    """Whether two checks are of one window and version."""
    return (one.window, one.version) == (other.window, other.version)


def _worth_keeping(check: Check, checks: tuple[Check, ...], sample: Sample) -> Sample | None:
    """Return the sample when later checks may want it: of a sound window that is not mostly one that is kept."""
    kept = [other for other in earlier(checks, check.window, check.version) if other.sampled]
    fresh = all(shared(other.window, check.window) <= 1 / 2 for other in kept)
    return sample if sample.sampled and not check.quality and fresh else None


def challenger_of(place: Place) -> Challenger | None:
    """Return the version that is on its way to become champion; None when there is none.

    Raises:
        StorageError: The ledger cannot be reached.
    """
    asked = approvals.waiting(place.ledger)
    if asked:
        return Challenger(sentence=asked[-1].sentence, asks=True)
    rollout = standing(place.ledger.entries())
    return None if rollout is None else Challenger(sentence=rollout.sentence)


def is_training(place: Place) -> bool:
    """Whether a training run of the project is under way on this machine."""
    lock = place.workplace.home / "training" / f"{place.project.name}.lock"
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return not os.access(lock, os.W_OK)
