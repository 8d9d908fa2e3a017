"""Telling people what became of a challenger, or of a run; the same thing once within the cool-down.

What cannot be told never fails a run: the problems are returned, for a log.
"""

import hashlib
from datetime import UTC, datetime

from tiltyard.errors import ProjectError, StorageError
from tiltyard.notification.channels import channels, send
from tiltyard.notification.notice import Event, Notice, due
from tiltyard.project.environment import Workplace
from tiltyard.registry.approvals import Approval
from tiltyard.registry.rollout import Rollout
from tiltyard.steps.pages import outcome_in_words
from tiltyard.steps.run import TrainingOutcome
from tiltyard.storage.base import Store
from tiltyard.storage.opening import open_store


def tell(workplace: Workplace, notice: Notice) -> tuple[str, ...]:
    """Tell people something, unless they were told of it within the cool-down or nobody is to be told.

    Args:
        workplace: The folders and addresses in force.
        notice: What they are to know.

    Returns:
        What went wrong, as sentences without any secret.
    """
    environment = workplace.environment
    if environment.notify is None:
        return ()
    try:
        to = channels(environment.notify.get_secret_value())
        store = open_store(workplace.store, endpoint=environment.s3_endpoint, cache=workplace.cache)
    except (ProjectError, StorageError) as error:
        return (str(error),)
    now = datetime.now(UTC)
    if not due(_last(store, notice), now, environment.notify_cooldown):
        return ()
    problems = send(notice, to)
    if len(problems) < len(to):
        _remember(store, notice, now)
    return tuple(f"{name} was not told of the {notice.event} ({problem})" for name, problem in problems.items())


def verdict_notice(outcome: TrainingOutcome, page: str = "") -> Notice | None:
    """Return what is told about a finished run; None when nothing new happened to the champion.

    Args:
        outcome: How it ended.
        page: Where to look.
    """
    if outcome.rollout is not None and not outcome.repeated:
        return rollout_notice(outcome.rollout, page, said=outcome_in_words(outcome))
    held = outcome.verdict.outcome == "promote" and not outcome.promoted and outcome.approval is None
    if outcome.version is None or outcome.repeated or held or outcome.approval == "waiting":
        return None
    event: Event = "promotion" if outcome.promoted else "refusal"
    what = (
        "is the champion" if outcome.promoted else f"was not promoted ({outcome.approval or outcome.verdict.outcome})"
    )
    return Notice(
        project=outcome.project,
        event=event,
        subject=f"version {outcome.version}",
        title=f"{outcome.project}: version {outcome.version} {what}",
        text=outcome_in_words(outcome),
        page=page,
    )


def decision_notice(approval: Approval, page: str = "") -> Notice:
    """Return what is told about a question that was answered, or has lapsed.

    Args:
        approval: The question as it stands.
        page: Where to look.
    """
    event: Event = "promotion" if approval.standing == "promoted" else "refusal"
    what = "is the champion" if event == "promotion" else f"was not promoted ({approval.standing})"
    return _about(approval, event, what, f"{approval.sentence[:1].upper()}{approval.sentence[1:]}.", page)


def rollout_notice(rollout: Rollout, page: str = "", *, said: str = "") -> Notice:
    """Return what is told about a rollout: that it has started, or how it ended.

    Args:
        rollout: The rollout as it stands.
        page: Where to look.
        said: More about it than its own sentence; that sentence when empty.
    """
    version = f"version {rollout.version}"
    event: Event = "rollout"
    what = f"is being rolled out ({rollout.strategy.replace('_', '-')})"
    if rollout.outcome == "promoted":
        event, what = "promotion", "is the champion after its rollout"
    elif not rollout.is_standing:
        event, what = "refusal", f"was not promoted (its rollout was {rollout.outcome})"
    sentence = f"{rollout.sentence[:1].upper()}{rollout.sentence[1:]}."
    title = f"{rollout.project}: {version} {what}"
    return Notice(
        project=rollout.project,
        event=event,
        subject=f"{version}, rollout {rollout.sequence}",
        title=title,
        text=said or sentence,
        page=page,
    )


def question_notice(approval: Approval, page: str = "") -> Notice:
    """Return what is told when a person's decision is wanted.

    Args:
        approval: The question.
        page: Where the form is; empty when there is none.
    """
    number = approval.version
    form = "Resume the run in Prefect, or use" if page else "Use"
    what = f"{approval.question}\n\nIts verdict: {approval.verdict}"
    until = f"Without a decision until {approval.expires:%Y-%m-%d %H:%M} UTC, the champion stays."
    text = f"{what}\n\n{until} {form} `tiltyard approve {number}` or `tiltyard reject {number}`."
    return _about(approval, "approval wanted", "waits for a decision", text, page)


def failure_notice(project: str, message: str, page: str = "") -> Notice:
    """Return what is told about a run that failed; the same failure is one subject.

    Args:
        project: Name of the project.
        message: What went wrong, and what to do.
        page: Where to look.
    """
    return Notice(
        project=project, event="failure", subject=message, title=f"{project}: a run failed", text=message, page=page
    )


def _about(approval: Approval, event: Event, what: str, text: str, page: str) -> Notice:
    version = f"version {approval.version}"
    title = f"{approval.project}: {version} {what}"
    return Notice(project=approval.project, event=event, subject=version, title=title, text=text, page=page)


def _key(notice: Notice) -> str:
    """Return where it is kept when something was told last."""
    content = f"{notice.project}\n{notice.event}\n{notice.subject}"
    return f"notified/{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def _last(store: Store, notice: Notice) -> datetime | None:
    """Return when something was told last; None when never, or when that cannot be found out."""
    try:
        key = _key(notice)
        return datetime.fromisoformat(store.read(key).decode()) if store.exists(key) else None
    except (StorageError, ValueError):
        return None


def _remember(store: Store, notice: Notice, now: datetime) -> None:
    """Note when something was told; where that cannot be, it may be told once more."""
    try:
        store.write(_key(notice), now.isoformat().encode())
    except StorageError:
        return
