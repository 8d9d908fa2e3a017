"""One check of a champion: what was seen in a window, held against its reference and against earlier checks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tiltyard.bundle.model import Predictions
from tiltyard.data.contract import Contract
from tiltyard.evaluation.terms import Labels
from tiltyard.monitoring.calibration import Calibration
from tiltyard.monitoring.discovery import weigh
from tiltyard.monitoring.domain import Domain, table_of, tell_apart
from tiltyard.monitoring.drift import DriftCheck, Settings, check_drift
from tiltyard.monitoring.estimate import Estimate, estimate
from tiltyard.monitoring.findings import Span
from tiltyard.monitoring.history import Check, apart, calibration_before, is_fresh
from tiltyard.monitoring.labelled import Labelled
from tiltyard.monitoring.lottery import text_hashes
from tiltyard.monitoring.observation import Observation
from tiltyard.monitoring.pairs import choose_pairs
from tiltyard.monitoring.past import Past
from tiltyard.monitoring.performance import Performance, by_version, performance
from tiltyard.monitoring.quality import QualityFinding, check_quality
from tiltyard.monitoring.question import Question
from tiltyard.monitoring.reference import Reference
from tiltyard.monitoring.sample import FEATURE, PREDICTION, PROBABILITY, Sample, is_answer
from tiltyard.monitoring.standard import held_to
from tiltyard.monitoring.stretches import check_stretches
from tiltyard.monitoring.windows import WindowSample
from tiltyard.predictions.reading import Window
from tiltyard.project.monitoring import MonitoringSection

MOST_WINDOWS = 12
"""Windows at most for which performance is told; where labels take longer, each is longer than the one looked at."""

_SETTLED = 0.5
"""A window tells how good the champion is once it has this share of the labels that the fullest window has."""

_SAME_LENGTH = 0.01


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen of a version.

    Attributes:
        version: The version.
        sample: The window.
        labelled: Predictions of the window and of those before it whose labels may still come, with the labels that
            have; those of other versions may be among them. None when no label was ever given.
        since: When the version became champion; None where that does not matter.
    """

    version: int
    sample: WindowSample
    labelled: Labelled | None = None
    since: datetime | None = None


class Looked(NamedTuple):
    """A check, and what it was made of.

    Attributes:
        check: What was found; nothing is decided yet.
        drift: The comparison.
    """

    check: Check
    drift: DriftCheck


def look(
    seen: Seen,
    reference: Reference,
    contract: Contract,
    past: Past,
    section: MonitoringSection,
    *,
    model: str,
    made: datetime,
) -> Looked:
    """Check a window.

    Args:
        seen: What was seen of the version.
        reference: What the version is held against.
        contract: Its data contract.
        past: What earlier checks know.
        section: The project's settings.
        model: Model.
        made: The present moment, UTC.
    """
    window, sample, own = seen.sample.window, seen.sample.sample, reference.facts.score
    reference = held_to(reference, past.standard)
    settings = Settings(
        importance=importance(reference, section),
        ignore=_ignored(section),
        enough_rows=section.min_rows,
        pairs=choose_pairs(reference.test.columns),
    )
    known = calibration_before(past.checks, window, seen.version)
    vindicated, calibration = _vindicate(seen, reference, past, settings, known)
    drift = check_drift(
        reference.test,
        [*(earlier for _, earlier in past.pooled), sample],
        previous=past.checks[-1].drift if past.checks else None,
        calibration=calibration,
        spans=[_span(other) for other, _ in past.pooled] + [_span(window)],
        settings=settings,
    )
    quality = _quality(seen, reference, contract, past, section)
    scores = scores_of(seen.labelled, seen.version, window, reference, section)
    quiet = drift.quiet and not quality and not any(score.harm for score in scores)
    accepted = quiet and is_fresh(past.checks, window, seen.version)
    check = Check(
        model=model,
        start=window.start,
        end=window.end,
        version=seen.version,
        made=made,
        rows=sample.rows,
        drift=drift.verdict,
        quality=quality,
        performance=scores,
        estimate=estimated(seen, reference),
        metric=reference.facts.metric,
        reference=own,
        standard=past.standard,
        accepted=accepted,
        vindicated=vindicated,
        calibration=drift.accept(calibration) if accepted else calibration,
    )
    return Looked(check, drift)


def told_apart(seen: Seen, reference: Reference, section: MonitoringSection) -> Domain | None:
    """Return whether all columns together tell a window from the reference; None where there are too few rows.

    Args:
        seen: What was seen of the version.
        reference: What the version is held against.
        section: The project's settings.
    """
    return tell_apart(reference.test, seen.sample.sample, seed=0, ignore=_ignored(section))


def _ignored(section: MonitoringSection) -> frozenset[str]:
    return frozenset(f"{FEATURE}{name}" for name in section.ignore)


def importance(reference: Reference, section: MonitoringSection) -> dict[str, float]:
    """Return the weight of each feature, 1 being ordinary: as the project says, else what the score loses without it.

    Args:
        reference: What the version is held against.
        section: The project's settings.
    """
    features = [name for name in reference.test.columns if not is_answer(name)]
    given = {f"{FEATURE}{name}": weight for name, weight in section.importance.items()}
    return weigh(features, reference.importance) | given


def scores_of(
    labelled: Labelled | None, version: int, window: Window, reference: Reference, section: MonitoringSection
) -> tuple[Performance, ...]:
    """Return how good the answers were, window by window, as far as labels have come; the newest last.

    The version's own windows are held against its reference; other versions that answered in the same time stand
    before them, over all of it.

    Args:
        labelled: Predictions with the labels that have come.
        version: The version that is looked at.
        window: The window that is looked at.
        reference: What the version is held against.
        section: The project's settings.
    """
    if labelled is None or not labelled.known_rows:
        return ()
    facts, spans = reference.facts, label_windows(window, section.label_delay)
    whole = Window(spans[0].start, window.end)
    others = [
        score
        for score in by_version(labelled, facts.metric, start=whole.start, end=whole.end)
        if score.version != version and score.labelled
    ]
    own = labelled.part(version=version)
    scores = [_score(own.part(start=span.start, end=span.end), span, reference) for span in spans]
    return (*others, *(score for score in scores if score.labelled))


def _vindicate(
    seen: Seen, reference: Reference, past: Past, settings: Settings, calibration: Calibration
) -> tuple[tuple[Span, ...], Calibration]:
    """Return the earlier windows that labels show to be good by now, and what is known of good windows with them.

    What has drifted there did the champion no harm; so windows that differ as much are no reason to call a person.
    """
    found: list[Span] = []
    for window, sample in past.doubtful if seen.labelled is not None else ():
        assert seen.labelled is not None
        own = seen.labelled.part(version=seen.version, start=window.start, end=window.end)
        if _score(own, window, reference).good:
            span = _span(window)
            drift = check_drift(reference.test, [sample], spans=[span], settings=settings)
            calibration = drift.accept(calibration)
            found.append(span)
    return tuple(found), calibration


def _score(own: Labelled, window: Window, reference: Reference) -> Performance:
    """Return how good a version was in a window, held against its reference."""
    facts = reference.facts
    return performance(
        own,
        facts.metric,
        start=window.start,
        end=window.end,
        reference=facts.score,
        threshold=facts.threshold,
        clusters=facts.clusters,
        classes=facts.classes,
    )


def label_windows(window: Window, delay: timedelta) -> tuple[Window, ...]:
    """Return windows side by side, the one that is looked at last: those whose labels may still come, and one before.

    Args:
        window: The one that is looked at.
        delay: How long after its prediction a label may come.

    Example:
        >>> day = [datetime.fromisoformat(f"2026-11-{day:02d}T00:00Z") for day in range(1, 30)]
        >>> [f"{start:%d}-{end:%d}" for start, end in label_windows(Window(day[20], day[27]), timedelta(days=10))]
        ['07-14', '14-21', '21-28']
    """
    length = window.end - window.start
    if length <= timedelta(0):
        return (window,)
    step = max(length, (delay - length) / (MOST_WINDOWS - 2) + timedelta(microseconds=1))
    found = [window]
    while found[-1].end > window.end - delay:
        found.append(Window(found[-1].start - step, found[-1].start))
    return tuple(reversed(found))


def estimated(seen: Seen, reference: Reference) -> Estimate | None:
    """Return what the metric probably is in a window, without waiting for its labels.

    Args:
        seen: What was seen of the version.
        reference: What the version is held against.

    Returns:
        None for an empty window.
    """
    sample, facts = seen.sample.sample, reference.facts
    if not sample.sampled:
        return None
    question = Question(
        metric=facts.metric,
        y=reference.labels,
        reference=reference.predictions,
        current=answers_of_sample(sample, facts.classes),
        table=table_of(reference.test, sample, columns=tuple(name for name in sample.columns if not is_answer(name))),
        labels=labels_of(seen),
        threshold=facts.threshold,
    )
    return estimate(question, reference=facts.score)


def answers_of_sample(sample: Sample, classes: Sequence[object]) -> Predictions:
    """Return what was answered in the sampled rows.

    Args:
        sample: A window.
        classes: Classes in the order of the probabilities; empty for regression.
    """
    if not classes:
        return Predictions(values=sample.columns[PREDICTION].values)
    return Predictions(np.column_stack([sample.columns[f"{PROBABILITY}{label}"].values for label in classes]))


def labels_of(seen: Seen) -> Labels | None:
    """Return what was true of the sampled rows, -1 or NaN where no label has come; None when none has.

    Args:
        seen: What was seen of the version.
    """
    if seen.labelled is None or not len(seen.labelled.known):
        return None
    known, ids = seen.labelled.known, text_hashes(pa.array(seen.sample.ids.tolist(), pa.string()))
    places = np.minimum(np.searchsorted(known.ids, ids), len(known) - 1)
    found = np.where(known.ids[places] == ids, known.y[places], np.nan)
    if not seen.labelled.classification:
        return found
    return np.where(np.isfinite(found), found, -1).astype(np.int64)


def observed(check: Check) -> Observation:
    """Return what the policy is told about a check.

    Args:
        check: The check.
    """
    return Observation(
        start=check.start,
        end=check.end,
        version=check.version,
        quality=check.quality,
        drift=check.drift,
        performance=telling(check.performance, check.version),
        estimate=check.estimate,
    )


def telling(scores: Sequence[Performance], version: int | None) -> Performance | None:
    """Return the score that the policy is told: of the latest window with most of its labels, or a later loss.

    Args:
        scores: Scores of windows, the newest last.
        version: The version.

    Returns:
        None when there is no score of the version.
    """
    known = [score for score in scores if score.version == version and score.value is not None]
    if not known:
        return None
    enough = _SETTLED * max(score.coverage for score in known)
    last = max(place for place, score in enumerate(known) if score.coverage >= enough)
    harmed = [score for score in known[last:] if score.harm]
    return harmed[-1] if harmed else known[last]


def _quality(
    seen: Seen, reference: Reference, contract: Contract, past: Past, section: MonitoringSection
) -> tuple[QualityFinding, ...]:
    """Look for broken data; a window that is empty because its champion is new is not broken."""
    window = seen.sample.window
    length = window.end - window.start
    alike = [check for check in past.checks if abs(check.end - check.start - length) <= _SAME_LENGTH * length]
    found = check_quality(
        seen.sample.sample,
        reference.test,
        contract,
        usual_rows=[check.rows for check in apart(alike, window)] if section.rows is None else (),
        usual=past.usual,
        ignore=section.ignore,
    )
    fresh = seen.since is not None and seen.since > window.start
    found = tuple(one for one in found if not (fresh and one.kind in {"empty", "traffic"}))
    named = {(one.kind, column) for one in found for column in one.columns}
    parts = check_stretches(seen.sample.sample, seen.sample.times, reference.test, contract, ignore=section.ignore)
    return (*found, *(one for one in parts if not named & {(one.kind, column) for column in one.columns}))


def _span(window: Window) -> Span:
    return Span(start=window.start, end=window.end)
