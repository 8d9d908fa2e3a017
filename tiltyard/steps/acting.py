"""What a check sets in motion, once: whoever claims it carries it out and then says so."""

from datetime import UTC, datetime, timedelta

from tiltyard.monitoring.history import History
from tiltyard.monitoring.policy import Decision
from tiltyard.monitoring.summary import summarise
from tiltyard.notification.notice import Event, Notice
from tiltyard.steps.monitoring import Checked
from tiltyard.steps.monitoring_pages import Pages
from tiltyard.steps.place import Place

_CUT_OFF = timedelta(minutes=2)
"""What was claimed so long ago, and is not done, was cut off in between: it is carried out by whoever comes next."""


def claim(place: Place, checked: Checked, *, now: datetime | None = None) -> tuple[Checked, ...]:
    """Claim what follows from a check, and take up what was claimed before and cut off.

    Of many who claim the same exactly one gets it. What was cut off several may take up at once: Prefect takes the same
    event, and people are told of the same subject, once.

    Args:
        place: The project.
        checked: The check.
        now: The present moment, with a time zone; the clock's when None.

    Returns:
        What is to be carried out by whoever asks, one after the other.

    Raises:
        StorageError: The store cannot be reached.
        DataError: The record of a claim is damaged.
    """
    moment = now or datetime.now(UTC)
    history = _history(place)
    left = _cut_off(place, history, checked, moment)
    return (*left, checked) if history.claim(checked.check, moment) else left


def _cut_off(place: Place, history: History, checked: Checked, moment: datetime) -> tuple[Checked, ...]:
    """Return what was claimed and never carried out; what nobody wants any more is done with that.

    A retraining waits on while the data is broken.
    """
    found, champion = [], place.ledger.champion()
    for action in history.actions():
        if action.done or moment - action.made < _CUT_OFF:
            continue
        if action.action == "retrain" and checked.check.quality:
            continue
        check = history.check_of(action)
        if check is None or check.version != champion:
            history.done(action.trigger)
        else:
            found.append(Checked(check=check, summary=summarise(check), pages=Pages(page="")))
    return tuple(found)


def done(place: Place, checked: Checked) -> None:
    """Note that what was claimed is carried out.

    Raises:
        StorageError: The store cannot be reached.
    """
    _history(place).done(checked.decision.trigger)


def monitoring_notice(checked: Checked, page: str = "", *, started: bool = True) -> Notice | None:
    """Return what people are told about a check; None when nothing follows from it.

    Args:
        checked: The check.
        page: Where to look.
        started: Whether somebody takes the retraining up that it asks for; people are to start it otherwise.
    """
    decision, summary, project = checked.decision, checked.summary, checked.check.model
    if decision.action == "none":
        return None
    event: Event = "retraining" if decision.action == "retrain" else "alarm"
    todo = decision.reason if started or event == "alarm" else f"{decision.reason} Start it: {by_hand(decision)}."
    return Notice(
        project=project,
        event=event,
        subject=decision.trigger,
        title=f"{project}: {summary.headline}",
        text=f"{summary.what}\n\n{summary.score}\n\n{todo}",
        page=page,
    )


def by_hand(decision: Decision) -> str:
    """Return the command that starts the retraining which a decision asks for.

    Example:
        >>> by_hand(Decision(action="retrain", mode="non_inferiority", reason="…"))
        '`tiltyard train --mode non_inferiority`'
    """
    return f"`tiltyard train --mode {decision.mode or 'superiority'}`"


def _history(place: Place) -> History:
    return History(place.store, place.project.name)
