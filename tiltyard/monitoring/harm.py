"""Evidence of harm: a loss that labels prove, a loss that is estimated, or drift; the last two once they last.

Drift is a suspicion, and labels are what it is about: where they have come and show no loss, it is no harm.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from tiltyard.monitoring.findings import Finding
from tiltyard.monitoring.observation import Observation
from tiltyard.monitoring.performance import Performance

Sign = Literal["labels", "estimate", "drift"]

_GROWTH = 1.5
"""How much larger a drift may have become and still be the one that labels told of."""


class Evidence(NamedTuple):
    """One reason to train again.

    Attributes:
        sign: What it rests on.
        sentence: What was seen.
    """

    sign: Sign
    sentence: str


def in_order(history: Sequence[Observation]) -> tuple[Observation, ...]:
    """Return observations oldest first, one a window: of two checks of the same window the later given.

    Args:
        history: In any order, but that of two checks of a window the later stands behind.
    """
    windows = {(observation.start, observation.end, observation.version): observation for observation in history}
    return tuple(sorted(windows.values(), key=lambda observation: (observation.end, observation.start)))


def of_reign(
    observations: Sequence[Observation], version: int | None, since: datetime | None
) -> tuple[Observation, ...]:
    """Return what was seen of one champion since it was made champion.

    Args:
        observations: Oldest first.
        version: The champion.
        since: When it became champion.
    """
    return tuple(seen for seen in observations if seen.version == version and (since is None or seen.end > since))


def signs(observation: Observation, broken: Sequence[Observation] = ()) -> tuple[Evidence, ...]:
    """Return what one observation tells of harm; nothing when its data is broken.

    Args:
        observation: What a check saw.
        broken: Windows of broken data; what labels say about these is the feed's fault, and not the champion's.
    """
    if observation.broken:
        return ()
    found = []
    labelled, estimate, drift = observation.performance, observation.estimate, observation.drift
    if labelled is not None and labelled.harm and labelled.version == observation.version:
        spoiled = any(other.start < labelled.end and labelled.start < other.end for other in broken)
        if not spoiled:
            found.append(Evidence("labels", labelled.sentence))
    if estimate is not None and estimate.valid and estimate.harm:
        found.append(Evidence("estimate", estimate.sentence))
    if drift is not None and drift.level == "alarm":
        found.append(Evidence("drift", drift.sentence))
    return tuple(found)


def separate(observations: Sequence[Observation]) -> tuple[Observation, ...]:
    """Return the windows that share at most half of their time, the latest always among them, latest first.

    A check every day of the last seven days sees most rows seven times; seven alarms of it are one.

    Args:
        observations: Of one champion, oldest first.
    """
    kept: list[Observation] = []
    for seen in reversed(observations):
        if not kept or seen.end <= _middle(kept[-1]):
            kept.append(seen)
    return tuple(kept)


def _middle(seen: Observation) -> datetime:
    """Return the middle of what was judged, windows that were taken together with this one included."""
    pooled = seen.drift.pooled if seen.drift is not None else 1
    return seen.end - (seen.end - seen.start) * pooled / 2


class Standing(NamedTuple):
    """How far the evidence goes.

    Attributes:
        evidence: What counts as harm.
        unsure: In words, what was seen too seldom to count; empty when there is nothing of it.
        harmless: Whether there is drift that labels show to do no harm.
    """

    evidence: tuple[Evidence, ...]
    unsure: str = ""
    harmless: bool = False


def weigh(observations: Sequence[Observation], broken: Sequence[Observation], needed: int, among: int) -> Standing:
    """Say what counts as harm now: a loss that labels prove at once, the other signs once they last.

    Drift does not count while labels show that it does no harm.

    Args:
        observations: Of one champion, oldest first.
        broken: Windows of broken data.
        needed: In how many windows a sign must be seen, the latest among them.
        among: Of how many of the latest windows.
    """
    if not observations:
        return Standing(())
    latest, windows = signs(observations[-1], broken), separate(observations)[:among]
    drifting = any(found.sign == "drift" for found in latest)
    if excused := drifting and is_harmless(observations):
        latest = tuple(found for found in latest if found.sign != "drift")
    counts, unsure = [], []
    for found in latest:
        if found.sign == "labels":
            counts.append(found)
            continue
        seen = sum(_shows(found.sign)(window) for window in windows)
        if seen >= needed:
            counts.append(found._replace(sentence=f"In {seen} of the last {len(windows)} windows: {found.sentence}"))
        else:
            unsure.append(f"{_NAMES[found.sign]} in {seen} of the last {len(windows)} windows")
    return Standing(tuple(counts), " and ".join(unsure), excused)


def is_harmless(observations: Sequence[Observation]) -> bool:
    """Return whether the latest drift is as it was in windows that labels have found good since, or less.

    A column that had not drifted there, or had much less, is another drift, which labels may tell of later.

    Args:
        observations: Of one champion, oldest first, at least one.
    """
    latest = observations[-1]
    if latest.drift is None or latest.performance is None or not latest.performance.good:
        return False
    known = _borne(observations)
    return all(
        abs(finding.effect) <= _GROWTH * known.get(_what(finding), 0.0)
        for finding in latest.drift.findings
        if finding.level == "alarm"
    )


def _borne(observations: Sequence[Observation]) -> dict[tuple[str, str, str], float]:
    """Return how far each column had drifted at most in windows that labels have found good."""
    good = [seen.performance for seen in observations if seen.performance is not None and seen.performance.good]
    found: dict[tuple[str, str, str], float] = {}
    for seen in observations:
        if seen.drift is not None and any(_covers(score, seen) for score in good):
            for finding in seen.drift.findings:
                found[_what(finding)] = max(found.get(_what(finding), 0.0), abs(finding.effect))
    return found


def _covers(score: Performance, seen: Observation) -> bool:
    """Return whether a score tells of most of a window."""
    common = min(score.end, seen.end) - max(score.start, seen.start)
    return score.version == seen.version and 2 * common > seen.end - seen.start


def _what(finding: Finding) -> tuple[str, str, str]:
    return finding.column, finding.other, finding.test


_NAMES = {"estimate": "an estimated loss", "drift": "drift", "labels": "a loss that labels prove"}


def _shows(sign: Sign) -> Callable[[Observation], bool]:
    return lambda observation: any(found.sign == sign for found in signs(observation))
