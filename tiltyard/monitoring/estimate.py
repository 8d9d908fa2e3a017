"""What a metric probably is before labels come: an estimate with its interval, and whether it can be believed.

Classifiers: confidence-based performance estimation (`tiltyard.monitoring.expectation`); regressions: a model of the
loss (`tiltyard.monitoring.losses`). Both weight the reference so that it looks like the current rows. Both assume that
rows alike are still answered by the same truth: that the concept has not moved. Nothing but labels can tell whether it
has; so the estimate is held against those that did come, and is invalid when they contradict it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from tiltyard.bundle.model import Predictions
from tiltyard.evaluation import records, wording
from tiltyard.evaluation.metrics import score
from tiltyard.monitoring.domain import FEWEST_ROWS, Table, Told, tell
from tiltyard.monitoring.doubts import Doubts
from tiltyard.monitoring.expectation import Curve, calibrate, calibration_gap, curves_of, effective, expected
from tiltyard.monitoring.losses import DOUBT, LossModel, loss_model
from tiltyard.monitoring.performance import beyond
from tiltyard.monitoring.question import Question
from tiltyard.project.metrics import METRICS
from tiltyard.project.section import Section

Floats = NDArray[np.float64]

DRAWS = 200
FEWEST_REFERENCE = 300
FEWEST_OF_CLASS = 20
FEWEST_LABELS = 30
_TAIL = 0.025
_BINS = 8


class Estimate(Section):
    """What a metric probably is, without labels.

    Attributes:
        metric: Name of the metric.
        value: The estimate, in the metric's own direction; None where nothing can be said.
        low: Lower end of its 95 % interval: sampling of the rows, their unknown labels, and the calibration.
        high: Upper end.
        valid: Whether it can be believed.
        why: Why not, in words; empty when valid.
        rows: Current rows it is of.
        alike: Effective number of reference rows like the current ones.
        contradiction: p-value of the labels that did come, if the estimate were right; None when too few came.
        reference: The metric on the champion's own test set; None when not given.
        harm: Whether the whole interval lies on the bad side of the reference's, and the estimate is valid.
        sentence: All this in words.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    valid: bool
    why: str = ""
    rows: int = 0
    alike: float = 0.0
    contradiction: float | None = None
    reference: records.Estimate | None = None
    harm: bool = False
    sentence: str = ""


def estimate(
    question: Question, *, reference: records.Estimate | None = None, told: Told | None = None, seed: int = 0
) -> Estimate:
    """Estimate a metric on rows whose labels have not come.

    Args:
        question: What is asked, see there.
        reference: The metric on the champion's test set, from its scorecard, to say whether the estimate is harm.
        told: What `tell` says of the question's table, to ask for several metrics at the cost of one; only for a
            table of at most `MOST_ROWS` rows a side.
        seed: Seed of folds and resampling; the same question and seed give the same estimate.

    Returns:
        The estimate, `valid` or not and why. The interval is for the metric on all rows like the current ones, and
        wide enough for the metric on just these rows once their labels are there.

    Raises:
        DataError: The lengths differ, or there is no such metric.
    """
    found = _estimated(question.checked(), told, seed)
    live = _interval(found)
    harm = found.valid and reference is not None and live is not None and beyond(question.metric, live, reference)
    found = found.model_copy(update={"reference": reference, "harm": harm})
    return found.model_copy(update={"sentence": _sentence(found, live)})


def _interval(found: Estimate) -> records.Estimate | None:
    if found.value is None or found.low is None or found.high is None:
        return None
    return records.Estimate(value=found.value, low=found.low, high=found.high)


def _sentence(found: Estimate, live: records.Estimate | None) -> str:
    """Return the estimate in words."""
    if live is None:
        return found.why
    metric, reference = found.metric, found.reference
    said = f"{wording.title(metric)} is estimated at {wording.amount(metric, live.value)}"
    said += f" ({wording.interval(metric, live)}) on {found.rows:,} rows, without labels"
    if not found.valid:
        return f"{said}. {found.why}"
    if reference is None:
        return f"{said}."
    held = f"{wording.amount(metric, reference.value)} ({wording.interval(metric, reference)}) on a test set"
    return f"{said}. That is {'worse than' if found.harm else 'as'} the champion is held to, {held}."


def _estimated(question: Question, told: Told | None, seed: int) -> Estimate:
    """Return the estimate, without a comparison."""
    few = _too_few(question)
    if few:
        return _silent(question, few)
    rng = np.random.default_rng(seed)
    if told is None:
        question = question.thinned(rng)
        told = None if question.table is None else tell(question.table, seed=seed)
    weights = np.ones(len(question.y)) if told is None else told.weights
    if question.current.probabilities is None:
        return _of_values(question, weights, seed)
    return _of_classes(question, weights, seed)


def _too_few(question: Question) -> str:
    """Say why there is too little to estimate from; empty when there is enough."""
    n, m = len(question.y), len(question.current.array)
    if n < FEWEST_REFERENCE:
        return f"the reference has {n} rows with labels; {FEWEST_REFERENCE} are needed"
    if m < FEWEST_ROWS:
        return f"there are {m} rows; {FEWEST_ROWS} are needed"
    if question.reference.probabilities is not None:
        sizes = np.bincount(question.y.astype(np.int64), minlength=question.reference.probabilities.shape[1])
        if sizes.min() < FEWEST_OF_CLASS:
            return f"the reference has {sizes.min()} rows of a class; {FEWEST_OF_CLASS} are needed"
    if not (np.isfinite(question.current.array).all() and np.isfinite(question.reference.array).all()):
        return "some answers are not finite"
    return ""


def _silent(question: Question, why: str) -> Estimate:
    return Estimate(
        metric=question.metric,
        value=None,
        low=None,
        high=None,
        valid=False,
        why=f"{wording.title(question.metric)} cannot be estimated: {why}.",
        rows=len(question.current.array),
    )


def _said(question: Question, value: float, draws: Floats, weights: Floats, doubts: Doubts) -> Estimate:
    """Return the estimate with the interval of its draws, whose own bias is taken out once."""
    kept = draws[np.isfinite(draws)]
    if not np.isfinite(value) or len(kept) < DRAWS // 2:
        return _silent(question, "the metric is not defined on rows like these")
    metric = METRICS[question.metric]
    bias = float(np.median(kept)) - value
    ends = np.quantile(kept, [_TAIL, 1 - _TAIL])
    low, middle, high = np.clip([ends[0] - bias, value, ends[1] - bias], metric.least, metric.most)
    return Estimate(
        metric=question.metric,
        value=float(middle),
        low=float(min(low, middle)),
        high=float(max(high, middle)),
        valid=not doubts.why,
        why=doubts.why,
        rows=len(question.current.array),
        alike=effective(weights),
        contradiction=doubts.contradiction,
    )


def _of_classes(question: Question, weights: Floats, seed: int) -> Estimate:
    """Return the estimate of a classifier's metric."""
    said, y = question.reference.probabilities, question.y.astype(np.int64)
    now = question.current.probabilities
    assert said is not None
    assert now is not None
    curves = curves_of(said, y, weights)
    value = expected(question.metric, question.current, calibrate(curves, now), question.threshold)
    rng = np.random.default_rng(seed)
    draws = np.array([_drawn(question, curves, rng) for _ in range(DRAWS)])
    level = expected(question.metric, question.current, calibrate(_level(curves), now), question.threshold)
    draws += rng.normal(0.0, DOUBT * abs(level - value), DRAWS) if np.isfinite(level) else 0.0
    gap = calibration_gap(said, y, weights, seed)
    return _said(
        question, value, draws, weights, Doubts.of(question, weights, gap, _contradiction(question, curves, rng))
    )


def _level(curves: tuple[Curve, ...]) -> tuple[Curve, ...]:
    """Return the curves of the reference as it is, without weights."""
    return tuple(Curve.of(curve.scores, curve.hits > 0, np.ones(len(curve.hits))) for curve in curves)


def _resampled(count: int, rng: np.random.Generator) -> Floats:
    return np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)


def _drawn(question: Question, curves: tuple[Curve, ...], rng: np.random.Generator) -> float:
    """Return the metric of one world: another reference, other rows, and labels as likely as calibrated."""
    now = question.current.probabilities
    assert now is not None
    chances = calibrate(curves, now, _resampled(len(question.y), rng))
    rows = rng.integers(0, len(now), len(now))
    return score(question.metric, _labels(chances[rows], rng), Predictions(now[rows]), threshold=question.threshold)


def _labels(chances: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return class codes drawn by their probabilities, shape (m,)."""
    steps = chances.cumsum(axis=1)[:, :-1]
    return np.asarray((rng.random(len(chances))[:, None] >= steps).sum(axis=1), dtype=np.int64)


def _contradiction(question: Question, curves: tuple[Curve, ...], rng: np.random.Generator) -> float | None:
    """Return the p-value of the labels that did come, if calibrated probabilities were right; None for too few.

    Two questions, by Bonferroni: is the metric on these rows what labels drawn by the probabilities would make it, and
    do hits by bin of calibrated probability add up (as Hosmer & Lemeshow 1980 ask)? The scatter of both is that of
    drawn labels under resampled calibrations, so the uncertainty of the calibration is in it.
    """
    rows, now = question.known, question.current.probabilities
    if len(rows) < FEWEST_LABELS:
        return None
    assert now is not None
    assert question.labels is not None
    said, truth = now[rows], question.labels[rows].astype(np.int64)
    chances, level = calibrate(curves, said), calibrate(_level(curves), said)
    groups = _groups(chances)
    drawn = [_labels(calibrate(curves, said, _resampled(len(question.y), rng)), rng) for _ in range(DRAWS)]
    bins = np.array([_hits(groups, y) for y in drawn])
    metrics = np.array([_score(question, y, said) for y in drawn])[:, None]
    predictions = Predictions(said)
    right, other = (expected(question.metric, predictions, one, question.threshold) for one in (chances, level))
    off = [
        _deviation(_hits(groups, truth), bins, _expected_hits(groups, chances) - _expected_hits(groups, level)),
        _deviation(np.array([_score(question, truth, said)]), metrics, np.array([right - other])),
    ]
    return _two_sided(np.concatenate(off))


def _two_sided(deviations: Floats) -> float:
    """Return the p-value of the largest of some standard deviations, by Bonferroni."""
    return min(1.0, len(deviations) * float(2 * norm.sf(np.abs(deviations).max()))) if len(deviations) else 1.0


def _score(question: Question, y: NDArray[np.int64], said: Floats) -> float:
    return score(question.metric, y, Predictions(said), threshold=question.threshold)


def _groups(chances: Floats) -> NDArray[np.int64]:
    """Return bins of about equal numbers of rows for every class looked at, shape (classes, rows)."""
    codes = (1,) if chances.shape[1] == 2 else range(chances.shape[1])
    count = int(np.clip(len(chances) // 50, 1, _BINS))
    return np.array([np.argsort(np.argsort(chances[:, code], kind="stable")) * count // len(chances) for code in codes])


def _hits(groups: NDArray[np.int64], y: NDArray[np.int64]) -> Floats:
    """Return rows of each class looked at, by bin."""
    codes = (1,) if len(groups) == 1 else range(len(groups))
    count = int(groups.max()) + 1
    pairs = zip(codes, groups, strict=True)
    return np.concatenate([np.bincount(bins[y == code], minlength=count) for code, bins in pairs]).astype(np.float64)


def _expected_hits(groups: NDArray[np.int64], chances: Floats) -> Floats:
    codes = (1,) if len(groups) == 1 else range(len(groups))
    return np.concatenate(
        [np.bincount(bins, weights=chances[:, code]) for code, bins in zip(codes, groups, strict=True)]
    )


def _deviation(found: Floats, drawn: Floats, change: Floats) -> Floats:
    """Return how many standard deviations each figure is off from the drawn worlds, for those that scatter.

    Args:
        found: The figures, shape (figures,).
        drawn: The figures of each world, shape (worlds, figures).
        change: What the weights change them by; some of it is doubted.
    """
    kept = drawn[np.isfinite(drawn).all(axis=1)]
    if len(kept) < DRAWS // 2 or not np.isfinite(found).all():
        return np.zeros(0)
    spread = np.hypot(kept.std(axis=0, ddof=1), DOUBT * np.nan_to_num(change))
    some = spread > 0
    return np.asarray((found - kept.mean(axis=0))[some] / spread[some], dtype=np.float64)


def _of_values(question: Question, weights: Floats, seed: int) -> Estimate:
    """Return the estimate of a regression's metric."""
    said, now = question.reference.values, question.current.values
    assert said is not None
    assert now is not None
    y = question.y.astype(np.float64)
    empty = Table(("prediction",), np.array([False]), said[:, None], now[:, None])
    table = empty if question.table is None else _with_answers(question.table, said, now)
    losses = _losses(question.metric, y, said)
    if not np.isfinite(losses).all():
        return _silent(question, "a true value of the reference is zero")
    model = loss_model(table, losses, weights, seed=seed)
    rng = np.random.default_rng(seed)
    whole = _total_variance(y, said, now, weights, model.mean) if question.metric == "r2" else 1.0
    value, draws = _metric(question.metric, np.array([model.mean]), whole), model.means(DRAWS, rng)
    doubts = Doubts.of(question, weights, 0.0, _values_contradict(question, model, weights))
    return _said(question, float(value[0]), _metric(question.metric, draws, whole), weights, doubts)


def _with_answers(table: Table, said: Floats, now: Floats) -> Table:
    return Table(
        (*table.names, "answer"),
        np.append(table.words, values=False),
        np.column_stack([table.reference, said]),
        np.column_stack([table.current, now]),
    )


def _losses(metric: str, y: Floats, said: Floats) -> Floats:
    """Return the loss of every row whose mean makes the metric."""
    if metric in {"rmse", "r2"}:
        return (y - said) ** 2
    size = np.abs(y) if metric == "mape" else np.ones(len(y))
    return np.abs(y - said) / np.where(size > 0, size, np.nan)


def _metric(metric: str, means: Floats, whole: float) -> Floats:
    """Return the metric of mean losses."""
    if metric == "rmse":
        return np.sqrt(means)
    return 1.0 - means / whole if metric == "r2" else means


def _total_variance(y: Floats, said: Floats, now: Floats, weights: Floats, squared: float) -> float:
    """Return the variance that true values of the current rows have: of their mean by answer, and about it."""
    off = said - np.average(said, weights=weights)
    spread = float(np.average(off**2, weights=weights))
    slope = float(np.average(off * y, weights=weights)) / spread if spread > 0 else 0.0
    middle = np.average(y, weights=weights) + slope * (now - np.average(said, weights=weights))
    about = squared - float(((middle - now) ** 2).mean())
    return max(float(middle.var()) + max(about, 0.0), np.finfo(np.float64).tiny)


def _values_contradict(question: Question, model: LossModel, weights: Floats) -> float | None:
    """Return the p-value of labels that did come: of the loss, and of errors to one side; None for too few."""
    rows = question.known
    if len(rows) < FEWEST_LABELS:
        return None
    assert question.labels is not None
    assert question.current.values is not None
    assert question.reference.values is not None
    truth, said = question.labels[rows].astype(np.float64), question.current.values[rows]
    losses = _losses(question.metric, truth, said)
    found = [abs(model.contradiction(rows[np.isfinite(losses)], losses[np.isfinite(losses)]))]
    before, now = question.y - question.reference.values, truth - said
    middle = float(np.average(before, weights=weights))
    spread = float(np.average((before - middle) ** 2, weights=weights)) / effective(weights) + now.var() / len(now)
    found.append(abs(float(now.mean()) - middle) / np.sqrt(spread) if spread > 0 else 0.0)
    return _two_sided(np.array(found))
