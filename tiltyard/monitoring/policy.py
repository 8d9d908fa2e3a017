"""The retraining policy: evidence of harm, broken data and what was done before become one decision.

Pure: the moment is given, nothing is read or written, and the same records give the same decision. Retraining helps
where the world has changed; it does not where the data is broken, and it is dear where nothing has happened. So a
retraining needs evidence of harm that lasts, never rests on broken data, and is held to a cool-down and a budget.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from pydantic import AwareDatetime

from tiltyard.errors import UsageError
from tiltyard.monitoring.budget import fruitless, permission
from tiltyard.monitoring.harm import Evidence, Standing, in_order, of_reign, signs, weigh
from tiltyard.monitoring.observation import Observation
from tiltyard.project.monitoring import MonitoringSection
from tiltyard.project.section import Section

Action = Literal["none", "retrain", "alert"]
Mode = Literal["superiority", "non_inferiority"]

_WORSE = 0.25
"""How much larger a trouble must have become before it is told again, as a share of the window."""

_IN_VAIN = 2
"""Retrainings without a new champion after which a person is told."""


class Told(Section):
    """A trouble that people were told of.

    Attributes:
        trouble: What: `drift`, `null_filled feature_age`.
        size: How large it was, as a share of the window; 0 where that means nothing.
    """

    trouble: str
    size: float = 0.0


class Challenger(Section):
    """A version that is on its way to become champion.

    Attributes:
        sentence: How it stands, in words.
        asks: Whether a person's decision is what it waits for.
    """

    sentence: str
    asks: bool = False


class State(Section):
    """What the policy must know beside the checks.

    Attributes:
        project: Name of the project.
        version: The champion; None when there is none.
        since: When it became champion.
        trained: When it was trained, or the last moment of its training data; None counts from `since`.
        retrainings: When this policy started retrainings, those of the last week at least and all since `since`. A
            decision to retrain counts from the moment it is recorded, whatever became of the run.
        running: Whether a training run of the project is under way.
        challenger: A version that a person is asked about, or that is rolled out; None when there is none. It may be
            the cure, and a second one could take no place before this one is settled, so none is trained meanwhile,
            be it for days; a person whose decision is waited for is told once that harm goes on.
        told: `Decision.told` of the decision before.
    """

    project: str
    version: int | None = None
    since: AwareDatetime | None = None
    trained: AwareDatetime | None = None
    retrainings: tuple[AwareDatetime, ...] = ()
    running: bool = False
    challenger: Challenger | None = None
    told: tuple[Told, ...] = ()


class Decision(Section):
    """What follows from a check.

    Attributes:
        action: `retrain`: start a training run. `alert`: tell a person. `none`: nothing.
        mode: What the new model must show: that it is better, or, when it is trained for freshness, that it is not
            worse; None when nothing is trained.
        reason: Why, in a sentence or two.
        evidence: What was seen, one sentence each.
        next_possible: When a retraining may start at the earliest: after this one, or what this one waits for; None
            when nothing stands in its way, or the project allows none.
        trigger: Names the action: whoever acts twice on the same name acts once. All decisions to retrain that are
            made before one of them is recorded have the same. Empty when there is nothing to do.
        told: Troubles that people know of, for the next decision.
    """

    action: Action
    mode: Mode | None = None
    reason: str
    evidence: tuple[str, ...] = ()
    next_possible: AwareDatetime | None = None
    trigger: str = ""
    told: tuple[Told, ...] = ()


class _Cause(NamedTuple):
    """Why a model should be trained."""

    mode: Mode
    troubles: tuple[str, ...]
    reason: str
    evidence: tuple[str, ...]


class _Case(NamedTuple):
    """All that a decision rests on."""

    seen: tuple[Observation, ...]
    state: State
    section: MonitoringSection
    now: datetime


def decide(history: Sequence[Observation], state: State, section: MonitoringSection, now: datetime) -> Decision:
    """Decide whether to train, to tell a person, or to do nothing; the reason is given in each case.

    Args:
        history: What was seen, the latest check included; those of the last `section.sustained` windows, and those of
            the windows that labels may still tell of (`section.label_delay`).
        state: The champion, what was trained, and what was told before.
        section: The project's settings.
        now: The present moment, with a time zone.

    Raises:
        UsageError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise UsageError(f"the present moment ({now}) has no time zone", cure="Give it in UTC.")
    case = _Case(in_order(history), state, section, now)
    if case.seen and case.seen[-1].broken:
        return _over_broken_data(case)
    if state.version is None:
        return _none(case, "There is no champion to watch.")
    standing = weigh(_reign(case), [seen for seen in case.seen if seen.broken], *_hysteresis(section))
    cause = _of_harm(standing.evidence) or _of_age(case)
    if cause is None:
        return _none(case, f"No evidence of harm{_doubts(standing, section)}.")
    if section.retrain == "never":
        return _none(case, f"{cause.reason} `monitoring.retrain: never` leaves it at that.", cause)
    if section.retrain == "alert":
        told = dict.fromkeys(cause.troubles, 0.0)
        return _tell(case, told, f"{cause.reason} A retraining is due; starting it is left to people.", cause.evidence)
    return _train(case, cause)


def _doubts(standing: Standing, section: MonitoringSection) -> str:
    """Return what was seen and is no evidence of harm, in words."""
    needed, among = _hysteresis(section)
    known = "drift goes on, and labels show no loss by it" if standing.harmless else ""
    unsure = f"{standing.unsure}, and {needed} of {among} would be evidence of harm" if standing.unsure else ""
    return "".join(f": {words}" for words in (known, unsure) if words)


def _hysteresis(section: MonitoringSection) -> tuple[int, int]:
    needed, among = section.sustained
    return needed, among


def _reign(case: _Case) -> tuple[Observation, ...]:
    return of_reign(case.seen, case.state.version, case.state.since)


def _over_broken_data(case: _Case) -> Decision:
    """Never train on broken data; tell people once."""
    quality = case.seen[-1].quality
    sizes = _troubles(case.seen[-1])
    sentences = tuple(finding.sentence for finding in quality)
    reason = f"The data is broken, and nothing is trained on it: {sentences[0]}"
    return _tell(case, sizes, reason, sentences)


def _of_harm(evidence: Sequence[Evidence]) -> _Cause | None:
    """Return harm as a cause to train."""
    if not evidence:
        return None
    reason = f"Evidence of harm: {evidence[0].sentence}"
    troubles = tuple(found.sign for found in evidence)
    return _Cause("superiority", troubles, reason, tuple(found.sentence for found in evidence))


def _of_age(case: _Case) -> _Cause | None:
    """Return the champion's age as a cause to train; a retraining in vain counts as having made it fresh."""
    state, days = case.state, case.section.freshness_days
    known = [moment for moment in (state.trained or state.since, *state.retrainings) if moment is not None]
    if days is None or not known or case.now - max(known) < timedelta(days=days):
        return None
    reason = f"The champion was last trained {(case.now - max(known)).days} days ago; it is kept {days:g} days."
    return _Cause("non_inferiority", ("age",), reason, (reason,))


def _train(case: _Case, cause: _Cause) -> Decision:
    """Train, unless a run is under way, its outcome is waited for, or it is too soon."""
    state, now = case.state, case.now
    if state.running:
        return _none(case, f"{cause.reason} A training run is under way already.", cause)
    if state.challenger is not None:
        return _behind(case, cause, state.challenger)
    allowed = permission(case.section, state.retrainings, state.since, now)
    if allowed.moment is None or allowed.moment > now:
        until = "" if allowed.moment is None else f" until {allowed.moment:%Y-%m-%d %H:%M %Z}"
        reason = f"{cause.reason} No retraining{until}: {allowed.why}."
        waiting = _none(case, reason, cause).model_copy(update={"next_possible": allowed.moment})
        return _told_in_vain(case, cause, waiting, spent=allowed.spent)
    after = permission(case.section, (*state.retrainings, now), state.since, now)
    return Decision(
        action="retrain",
        mode=cause.mode,
        reason=cause.reason,
        evidence=cause.evidence,
        next_possible=after.moment,
        trigger=_trigger(state),
        told=_kept(case, cause.troubles),
    )


def _behind(case: _Case, cause: _Cause, challenger: Challenger) -> Decision:
    """Wait for a challenger; tell whoever is asked about it that harm goes on, once."""
    reason = f"{cause.reason} No second training before this is settled: {challenger.sentence}."
    if not challenger.asks or cause.mode != "superiority":
        return _none(case, reason, cause)
    return _tell(case, {**dict.fromkeys(cause.troubles, 0.0), "undecided": 0.0}, reason, cause.evidence)


def _trigger(state: State) -> str:
    """Name the next retraining of a champion; it is another one only once a retraining or a champion is recorded."""
    last = max((moment for moment in (state.since, *state.retrainings) if moment is not None), default=None)
    return f"{state.project}-retrain-v{state.version}-{_name(last.astimezone(UTC) if last else None)}"


def _name(*parts: object) -> str:
    """Return 12 hex digits that are the same for the same parts."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=6).hexdigest()


def _told_in_vain(case: _Case, cause: _Cause, waiting: Decision, *, spent: bool) -> Decision:
    """Tell people that harm goes on and retraining does not end it; once."""
    vain = fruitless(case.state.retrainings, case.state.since)
    if cause.mode != "superiority" or not (spent or vain >= _IN_VAIN):
        return waiting
    words = f" {vain} retrainings gave no new champion; a person should look." if vain >= _IN_VAIN else ""
    alert = _tell(case, {**dict.fromkeys(cause.troubles, 0.0), "in vain": 0.0}, waiting.reason + words, cause.evidence)
    return alert.model_copy(update={"next_possible": waiting.next_possible})


def _none(case: _Case, reason: str, cause: _Cause | None = None) -> Decision:
    """Do nothing, and say why."""
    troubles, evidence = (cause.troubles, cause.evidence) if cause else ((), ())
    return Decision(action="none", reason=reason, evidence=evidence, told=_kept(case, troubles))


def _tell(case: _Case, sizes: Mapping[str, float], reason: str, evidence: Sequence[str]) -> Decision:
    """Tell people of troubles that they do not know of, or that have become worse; be silent otherwise."""
    kept = {told.trouble: told.size for told in _kept(case, sizes)}
    worse = [trouble for trouble, size in sizes.items() if trouble not in kept or size > kept[trouble] + _WORSE]
    if not worse:
        known = f"{reason} People were told."
        return Decision(action="none", reason=known, evidence=tuple(evidence), told=_kept(case, sizes))
    latest = case.seen[-1].end if case.seen else case.now
    name = _name(case.state.version, latest.astimezone(UTC), *sorted(worse))
    now = {trouble: max(size, kept.get(trouble, 0.0)) for trouble, size in sizes.items()}
    return Decision(
        action="alert",
        reason=reason,
        evidence=tuple(evidence),
        trigger=f"{case.state.project}-alert-{name}",
        told=_as_told({**kept, **now}),
    )


def _kept(case: _Case, current: Sequence[str] | Mapping[str, float]) -> tuple[Told, ...]:
    """Return what people know of and what goes on: an episode ends when the latest windows show nothing of it."""
    _, among = _hysteresis(case.section)
    going_on = set(current) | {trouble for seen in case.seen[-among:] if seen.broken for trouble in _troubles(seen)}
    harm = {found.sign for seen in _reign(case)[-among:] for found in signs(seen)}
    going_on |= harm | ({"in vain"} if harm else set())
    return tuple(told for told in case.state.told if told.trouble in going_on)


def _troubles(seen: Observation) -> dict[str, float]:
    """Return in what ways the data of a window is broken, column by column, with how much of it is concerned."""
    return {
        f"{finding.kind} {column}".rstrip(): finding.share
        for finding in seen.quality
        for column in (finding.columns or ("",))
    }


def _as_told(sizes: Mapping[str, float]) -> tuple[Told, ...]:
    return tuple(Told(trouble=trouble, size=size) for trouble, size in sorted(sizes.items()))
