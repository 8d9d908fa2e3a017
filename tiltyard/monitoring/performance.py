"""How good the champion is on the predictions whose labels have come, and whether that is harm.

Labels come late, in parts, and often not as a fair sample: those of one class first, or of the rows that somebody
looked at. So every figure says what share of the predictions it rests on, is withheld where that is too little, and is
no evidence of harm where predictions with a label differ from those without.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import numpy as np
from scipy.stats import ks_2samp, norm

from tiltyard.evaluation import wording
from tiltyard.evaluation.intervals import Judged, estimate
from tiltyard.evaluation.records import Estimate
from tiltyard.evaluation.units import Units, time_blocks
from tiltyard.monitoring.labelled import Labelled, Rows
from tiltyard.project.metrics import METRICS
from tiltyard.project.section import Section

Clusters = Literal["row", "key", "time"]

FEWEST_LABELS = 100
FEWEST_OF_CLASS = 10
HARM = 0.001
"""Chance at most that a champion as good as ever would look as bad: one window in a thousand, because every window is
looked at."""
_SETTLED = 0.5
_PROOF = 300
_NO_SIGN = 0.05
_DIFFERS = 0.10
_SURELY = 0.001
_MOST_COMPARED = 50_000
_NEARLY_ALL = 0.95
_OF_CLASSES = frozenset({"roc_auc", "pr_auc", "precision", "recall", "f1"})
_Z = float(norm.ppf(0.975))


class Performance(Section):
    """How good one version was in one window.

    Attributes:
        metric: Name of the metric.
        value: The metric on rows with labels; None when they are too few to say.
        low: Lower end of its 95 % interval.
        high: Upper end.
        rows: Predictions.
        labelled: Predictions whose label has come.
        coverage: Share of the predictions whose label has come, 0 to 1.
        version: Version that answered; None for several.
        start: First moment of the window.
        end: The moment after its last.
        judged: Rows that the metric was computed on; fewer than `labelled` when rows were drawn.
        fair: Whether predictions with a label are like those without; None when it cannot be told.
        reference: The metric on the champion's own test set; None when not given.
        p: One-sided chance of a metric this much worse than the reference by luck; None without a comparison.
        harm: Whether the version is worse than on its own test set, beyond doubt.
        sentence: All this in words.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    labelled: int
    coverage: float
    version: int | None
    start: datetime
    end: datetime
    judged: int = 0
    fair: bool | None = None
    reference: Estimate | None = None
    p: float | None = None
    harm: bool = False
    sentence: str

    @property
    def good(self) -> bool:
        """Whether labels, enough of them and a fair sample, show no sign of a loss."""
        enough = self.coverage >= _SETTLED and self.labelled >= _PROOF and self.fair is not False
        if not enough or self.value is None or self.reference is None or self.p is None:
            return False
        worse = self.value < self.reference.low
        if not METRICS[self.metric].greater_is_better:
            worse = self.value > self.reference.high
        return not worse and not self.harm and self.p >= _NO_SIGN


def worse_by_luck(metric: str, live: Estimate, reference: Estimate) -> float:
    """Return the one-sided p-value of a metric that is worse than its reference, if in truth it were the same.

    Two independent intervals give the interval of their difference (Newcombe 1998, method 10; Zou & Donner 2008): of
    each the end that lies towards the other counts, so skewed intervals stay what they are.

    Args:
        metric: Name of the metric.
        live: The metric now.
        reference: The metric on the test set.

    Example:
        >>> good, bad = (Estimate(value=v, low=v - 0.02, high=v + 0.02) for v in (0.9, 0.8))
        >>> worse_by_luck("accuracy", good, good), worse_by_luck("accuracy", bad, good) < 1e-6
        (0.5, True)
    """
    if METRICS[metric].greater_is_better:
        loss, ends = reference.value - live.value, (reference.value - reference.low, live.high - live.value)
    else:
        loss, ends = live.value - reference.value, (reference.high - reference.value, live.value - live.low)
    error = float(np.hypot(*ends)) / _Z
    if error == 0.0:
        return 0.5 if loss == 0.0 else float(loss < 0.0)
    return float(norm.sf(loss / error))


def beyond(metric: str, live: Estimate, reference: Estimate) -> bool:
    """Return whether the whole interval lies on the bad side of the reference's.

    Example:
        >>> good, bad = (Estimate(value=v, low=v - 0.02, high=v + 0.02) for v in (0.9, 0.8))
        >>> beyond("accuracy", bad, good), beyond("rmse", bad, good)
        (True, False)
    """
    if METRICS[metric].greater_is_better:
        return live.high < reference.low
    return live.low > reference.high


def performance(  # noqa: PLR0913  # the rows, the window, what decides and what it is compared with
    labelled: Labelled,
    metric: str,
    *,
    start: datetime,
    end: datetime,
    reference: Estimate | None = None,
    threshold: float = 0.5,
    clusters: Clusters = "row",
    classes: Sequence[object] = (),
    fewest: int = FEWEST_LABELS,
    seed: int = 0,
) -> Performance:
    """Return how good the answers of a window were, as far as labels have come.

    The same labels give the same record, bit by bit, in whatever order, parts and repetition they came.

    Args:
        labelled: Predictions and labels of the window; of one version when a reference is given (`Labelled.part`).
        metric: Name of the metric.
        start: First moment of the window.
        end: The moment after its last.
        reference: The metric on the champion's test set, from its scorecard.
        threshold: Decision threshold of the positive class.
        clusters: What belongs together: nothing, rows of one sticky key, or rows of neighbouring times; as the test
            set of the reference was judged.
        classes: Names of the classes, for the sentence.
        fewest: Labels without which nothing is said.
        seed: Seed of the bootstrap.
    """
    found, why = _measured(labelled, metric, threshold, clusters, fewest=fewest, seed=seed)
    fair = is_fair(labelled)
    p = harm = None
    if found is not None and reference is not None:
        p = worse_by_luck(metric, found, reference)
        trusted = fair is not False or labelled.known_rows >= _NEARLY_ALL * labelled.rows
        harm = trusted and p < HARM and beyond(metric, found, reference)
    versions = labelled.versions
    record = Performance(
        metric=metric,
        value=None if found is None else found.value,
        low=None if found is None else found.low,
        high=None if found is None else found.high,
        rows=labelled.rows,
        labelled=labelled.known_rows,
        coverage=labelled.known_rows / labelled.rows if labelled.rows else 0.0,
        version=versions[0] if len(versions) == 1 else None,
        start=start,
        end=end,
        judged=len(labelled.known),
        fair=fair,
        reference=reference,
        p=p,
        harm=bool(harm),
        sentence="",
    )
    return record.model_copy(update={"sentence": _sentence(record, why, labelled.unusable, classes)})


def by_version(
    labelled: Labelled,
    metric: str,
    *,
    start: datetime,
    end: datetime,
    thresholds: dict[int, float] | None = None,
    clusters: Clusters = "row",
) -> tuple[Performance, ...]:
    """Return the performance of every version that answered in a window, without a comparison.

    Args:
        labelled: Predictions and labels of the window.
        metric: Name of the metric.
        start: First moment of the window.
        end: The moment after its last.
        thresholds: Decision threshold by version; 0.5 where left out.
        clusters: See `performance`.
    """
    known = thresholds or {}
    return tuple(
        performance(
            labelled.part(version=version),
            metric,
            start=start,
            end=end,
            threshold=known.get(version, 0.5),
            clusters=clusters,
        )
        for version in labelled.versions
    )


def _measured(
    labelled: Labelled, metric: str, threshold: float, clusters: Clusters, *, fewest: int, seed: int
) -> tuple[Estimate | None, str]:
    """Return the metric with its interval, or why there is none."""
    rows, y = labelled.known, labelled.y
    if len(rows) < fewest:
        return None, f"{fewest:,} are needed"
    if metric in _OF_CLASSES:
        rarest = int(np.bincount(y.astype(np.int64), minlength=rows.answers.shape[1]).min())
        if rarest < FEWEST_OF_CLASS:
            return None, f"of one class there are {rarest}, and {FEWEST_OF_CLASS} are needed"
    units = _units(rows, clusters)
    if units.count < 2:
        return None, "all are of one key"
    found = estimate(metric, Judged(y, labelled.predictions, threshold, units), seed=seed)
    return found, "the metric is not defined on them"


def _units(rows: Rows, clusters: Clusters) -> Units:
    if clusters == "row":
        return Units.of(len(rows))
    if clusters == "time":
        return Units.of(len(rows), time_blocks(rows.times.astype("datetime64[us]")))
    _, codes = np.unique(rows.keys, return_inverse=True)
    return Units.of(len(rows), codes.astype(np.int64))


def is_fair(labelled: Labelled) -> bool | None:
    """Return whether predictions with a label are like those without; None when it cannot be told.

    They are not when the distribution of an answer differs by more than 0.1 (Kolmogorov-Smirnov, at one in a thousand
    with Bonferroni over the classes), or when a class is missing among the labels that probabilities expect there at
    least ten times.

    Args:
        labelled: Predictions and labels.
    """
    known, unknown = labelled.known.answers[:_MOST_COMPARED], labelled.unknown.answers[:_MOST_COMPARED]
    if labelled.classification and len(labelled.known):
        found = np.bincount(labelled.y.astype(np.int64), minlength=known.shape[1])
        if ((found == 0) & (labelled.known.answers.sum(axis=0) >= FEWEST_OF_CLASS)).any():
            return False
    if not len(unknown):
        return True
    if len(known) < 30 or len(unknown) < 30:
        return None
    columns = range(1, 2) if known.shape[1] == 2 else range(known.shape[1])
    tests = [ks_2samp(known[:, code], unknown[:, code], method="asymp") for code in columns]
    return not any(test.statistic > _DIFFERS and test.pvalue < _SURELY / len(tests) for test in tests)


def _sentence(record: Performance, why: str, unusable: int, classes: Sequence[object]) -> str:
    """Return the record in words."""
    name = wording.title(record.metric)
    base = f"{record.labelled:,} of {record.rows:,} predictions have a label ({100 * record.coverage:.1f} %)"
    parts = []
    if record.value is None or record.low is None or record.high is None:
        parts.append(f"{name} cannot be told: {base}, {why}")
    else:
        live = Estimate(value=record.value, low=record.low, high=record.high)
        parts.append(f"{name} is {wording.amount(record.metric, live.value)} ({wording.interval(record.metric, live)})")
        parts[0] += f"; {base}"
        if record.reference is not None and record.p is not None:
            parts.append(_compared(record, record.reference, record.p))
    if record.judged < record.labelled:
        parts.append(f"It is measured on {record.judged:,} of the labels, drawn by their ids")
    if record.fair is False:
        parts.append(
            "Predictions with a label differ from those without: the labels are no fair sample"
            + (", so this is no evidence of harm" if record.value is not None and not record.harm else "")
        )
    if unusable:
        listed = f" ({', '.join(map(str, classes[:5]))})" if classes else ""
        parts.append(
            f"{unusable:,} rows were left out, their label is none of the target's{listed} or an answer missing"
        )
    return ". ".join(parts) + "."


def _compared(record: Performance, reference: Estimate, p: float) -> str:
    """Return how the metric stands to the reference, in words."""
    held = (
        f"{wording.amount(record.metric, reference.value)} ({wording.interval(record.metric, reference)}) on a test set"
    )
    if record.harm:
        return f"That is worse than the champion is held to, {held}; by luck alone {wording.chance(p)}"
    if p < 0.05:
        return f"That may be worse than it is held to, {held}; luck alone does so with a chance of {wording.chance(p)}"
    return f"That is no worse than it is held to, {held}"
