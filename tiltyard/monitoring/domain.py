"""A classifier that tries to tell current rows from reference rows: whether it can, by what, and how much likelier.

A classifier two-sample test (Lopez-Paz & Oquab 2017): where rows of two samples can be told apart better than by luck
on rows that the classifier was not fitted on, the samples are of two distributions, also when no single column has
moved. The same odds are the ratio of the two densities (Bickel, Brückner & Scheffer 2009), by which reference rows
are weighted to look like current ones.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from scipy.stats import norm, rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tiltyard.data.contract import Kind
from tiltyard.evaluation.wording import chance
from tiltyard.monitoring.sample import Sample, is_answer, spoken
from tiltyard.project.section import Section

Floats = NDArray[np.float64]

MOST_ROWS = 5_000
FEWEST_ROWS = 100
FOLDS = 3
_MOST_LEVELS = 250
_SHUFFLED_ROWS = 1_000
_NAMED_COLUMNS = 10
_WORDS = frozenset({Kind.CATEGORY, Kind.TEXT})
_CLOSEST = 1e-6
"""Probabilities are kept so far off 0 and 1, so that their odds are finite."""


class Domain(Section):
    """Whether current rows can be told from reference rows, and by what.

    Attributes:
        auc: Area under the ROC curve on rows that the classifier was not fitted on; 0.5 is luck.
        p: One-sided chance of an area this large by luck, if both were of one distribution.
        rows: Current rows looked at.
        reference_rows: Reference rows looked at.
        columns: Columns that give it away, with the area lost when they are shuffled, largest first.
        left_out: Columns not looked at, because they tell any two periods apart: times.
        sentence: All this in words.
    """

    auc: float
    p: float
    rows: int
    reference_rows: int
    columns: tuple[tuple[str, float], ...] = ()
    left_out: tuple[str, ...] = ()
    sentence: str = ""


class Table(NamedTuple):
    """Two samples as matrices that a tree can split.

    Attributes:
        names: Columns.
        words: Which of them hold codes of levels, not numbers, shape (columns,).
        reference: float64 with NaN for missing, shape (reference rows, columns).
        current: As well, shape (current rows, columns).
    """

    names: tuple[str, ...]
    words: NDArray[np.bool_]
    reference: Floats
    current: Floats


@dataclass(frozen=True)
class Told:
    """How likely each row is a current one, by classifiers that were fitted without it.

    Attributes:
        reference: Log odds of reference rows, shape (reference rows,), at equal numbers of rows of both.
        current: Those of current rows, shape (current rows,).
        auc: Area under the ROC curve, mean of the folds.
        p: One-sided p-value of that area.
    """

    reference: Floats
    current: Floats
    auc: float
    p: float

    @property
    def weights(self) -> Floats:
        """How much likelier each reference row is among current ones, mean 1, shape (reference rows,).

        The log odds are first fitted to who was really current (Platt 1999): where nothing can be told, all weights
        are then close to 1, instead of scattering with the noise of the classifier.
        """
        odds = np.concatenate([self.reference, self.current])
        truth = np.repeat([0, 1], [len(self.reference), len(self.current)])
        line = LogisticRegression(C=1e3, class_weight="balanced", max_iter=1_000).fit(odds[:, None], truth)
        logs = max(0.0, float(line.coef_[0, 0])) * self.reference
        raw = np.exp(np.clip(logs - logs.max(), -700.0, 0.0))
        return np.asarray(raw / raw.mean(), dtype=np.float64)


def table_of(reference: Sample, current: Sample, *, columns: tuple[str, ...] | None = None) -> Table:
    """Return the columns that two samples share as matrices; times are left out.

    Levels become codes, the most frequent first; rare ones share a code. Text is left to its levels too.

    Args:
        reference: Reference sample.
        current: Current sample.
        columns: Columns wanted; all that both have when left out.
    """
    names = tuple(
        name
        for name, column in reference.columns.items()
        if name in current.columns
        and column.kind is not Kind.TIME
        and current.columns[name].kind is not Kind.TIME
        and (columns is None or name in columns)
    )
    words = np.array([reference.columns[name].kind in _WORDS for name in names], dtype=np.bool_)
    pairs = [
        _coded(reference.columns[name].values, current.columns[name].values)
        if word
        else (_numbers(reference.columns[name].values), _numbers(current.columns[name].values))
        for name, word in zip(names, words, strict=True)
    ]
    return Table(
        names,
        words,
        np.column_stack([np.empty((reference.sampled, 0)), *(before for before, _ in pairs)]),
        np.column_stack([np.empty((current.sampled, 0)), *(now for _, now in pairs)]),
    )


def _numbers(values: NDArray[Any]) -> Floats:
    numbers = values.astype(np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _coded(before: NDArray[Any], now: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return codes of levels, NaN for missing; all but the most frequent share the last code."""
    both = np.concatenate([before, now])
    missing = np.array([value is None or value != value for value in both], dtype=np.bool_)  # noqa: PLR0124  # NaN
    _, inverse, counts = np.unique(both[~missing].astype(str), return_inverse=True, return_counts=True)
    rank = np.empty(len(counts))
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    codes = np.full(len(both), np.nan)
    codes[~missing] = np.minimum(rank, _MOST_LEVELS - 1)[inverse]
    return codes[: len(before)], codes[len(before) :]


def thinned(rows: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return positions of at most `most` of `rows` rows, in order, drawn without replacement."""
    if rows <= most:
        return np.arange(rows, dtype=np.int64)
    return np.sort(rng.choice(rows, most, replace=False)).astype(np.int64)


def fittable(rows: Floats) -> Floats:
    """Return rows that trees can be fitted to: a column without any value becomes one of zeros."""
    return np.where(np.isnan(rows).all(axis=0), 0.0, rows)


def tell(table: Table, *, seed: int, threads: int = 1) -> Told:
    """Fit classifiers on all folds but one and ask them about that one.

    Args:
        table: The two samples; at least `FOLDS` rows of each.
        seed: Seed of the folds.
        threads: Threads of the fit.

    Returns:
        Log odds out of fold, with the area and its p-value: within each fold the rank-sum statistic (Wilcoxon 1945;
        Mann & Whitney 1947, ties by the corrected variance) of rows that its classifier has not seen is free of
        distribution where there is no drift; the folds are combined by Stouffer's sum.
    """
    with threadpool_limits(threads):
        return _told(table, *_fitted(table, seed))


def _fitted(table: Table, seed: int) -> tuple[list[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Return a classifier a fold, and the fold of each reference and current row."""
    rng = np.random.default_rng(seed)
    before = rng.permutation(len(table.reference)) % FOLDS
    now = rng.permutation(len(table.current)) % FOLDS
    models = []
    for fold in range(FOLDS):
        rows = np.concatenate([table.reference[before != fold], table.current[now != fold]])
        truth = np.repeat([0, 1], [(before != fold).sum(), (now != fold).sum()])
        model = HistGradientBoostingClassifier(
            max_iter=60,
            max_leaf_nodes=15,
            l2_regularization=1.0,
            early_stopping=False,
            categorical_features=table.words if table.words.any() else None,
            random_state=seed,
        )
        models.append(model.fit(fittable(rows), truth))
    return models, before, now


def _odds(model: Any, rows: Floats) -> Floats:
    chances = np.asarray(model.predict_proba(rows)[:, 1], dtype=np.float64)
    return np.asarray(logit(np.clip(chances, _CLOSEST, 1 - _CLOSEST)), dtype=np.float64)


def _told(table: Table, models: list[Any], before: NDArray[np.int64], now: NDArray[np.int64]) -> Told:
    """Return what the classifiers say of the rows they were fitted without."""
    reference, current = np.empty(len(before)), np.empty(len(now))
    areas, deviations = [], []
    for fold, model in enumerate(models):
        then, here = before == fold, now == fold
        reference[then], current[here] = _odds(model, table.reference[then]), _odds(model, table.current[here])
        area, deviation = _area(reference[then], current[here])
        areas.append(area)
        deviations.append(deviation)
    level = np.log(len(now) / len(before))
    return Told(
        reference - level, current - level, float(np.mean(areas)), float(norm.sf(np.sum(deviations) / np.sqrt(FOLDS)))
    )


def _area(before: Floats, now: Floats) -> tuple[float, float]:
    """Return the area under the ROC curve, and its standardised rank-sum statistic."""
    n, m = len(before), len(now)
    ranks = rankdata(np.concatenate([before, now]))
    area = float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))
    spread = float(ranks.var(ddof=1))
    error = np.sqrt(spread * n * m / (n + m)) / (n * m) if spread > 0 else np.inf
    return area, (area - 0.5) / float(error)


def tell_apart(
    reference: Sample, current: Sample, *, seed: int, ignore: Collection[str] = (), most_rows: int = MOST_ROWS
) -> Domain | None:
    """Say whether current rows can be told from reference rows by their features, and by which of them.

    Args:
        reference: Reference sample.
        current: Current sample; only features that both have are looked at, and no times.
        seed: Seed of the folds, of the rows drawn and of the shuffling.
        ignore: Columns left out, named as in the prediction log.
        most_rows: Rows looked at of each, drawn at random.

    Returns:
        The verdict; None where there are fewer than `FEWEST_ROWS` of either, or no column.
    """
    rng = np.random.default_rng(seed)
    columns = tuple(name for name in reference.columns if not is_answer(name) and name not in ignore)
    table = table_of(reference, current, columns=columns)
    left_out = tuple(name for name in columns if reference.columns[name].kind is Kind.TIME)
    table = table._replace(
        reference=table.reference[thinned(len(table.reference), most_rows, rng)],
        current=table.current[thinned(len(table.current), most_rows, rng)],
    )
    if min(len(table.reference), len(table.current)) < FEWEST_ROWS or not table.names:
        return None
    with threadpool_limits(1):  # on a busy machine more threads wait for each other longer than they work
        models, before, now = _fitted(table, seed)
        told = _told(table, models, before, now)
        losses = _losses(models[0], table.names, table.reference[before == 0], table.current[now == 0], rng)
    return Domain(
        auc=told.auc,
        p=told.p,
        rows=len(table.current),
        reference_rows=len(table.reference),
        columns=losses,
        left_out=left_out,
        sentence=_sentence(told, losses),
    )


def _losses(
    model: Any, names: tuple[str, ...], before: Floats, now: Floats, rng: np.random.Generator
) -> tuple[tuple[str, float], ...]:
    """Return the columns whose shuffling costs the classifier most (Breiman 2001), with the area that it costs."""
    before, now = (rows[thinned(len(rows), _SHUFFLED_ROWS, rng)] for rows in (before, now))
    rows = np.concatenate([before, now])
    whole, _ = _area(*np.split(_odds(model, rows), [len(before)]))
    lost: Mapping[str, float] = {
        name: whole - _area(*np.split(_odds(model, _shuffled(rows, place, rng)), [len(before)]))[0]
        for place, name in enumerate(names)
    }
    worst = sorted(lost, key=lambda name: (-lost[name], name))[:_NAMED_COLUMNS]
    return tuple((name, lost[name]) for name in worst if lost[name] > 0)


def _shuffled(rows: Floats, place: int, rng: np.random.Generator) -> Floats:
    copy = rows.copy()
    copy[:, place] = rng.permutation(copy[:, place])
    return copy


def _sentence(told: Told, losses: tuple[tuple[str, float], ...]) -> str:
    """Return the verdict in words."""
    right = f"{100 * told.auc:.0f} of 100 pairs of a current and a reference row are put in the right order"
    if told.p >= 0.01:
        return f"Current rows cannot be told from reference rows: {right}, which luck explains ({chance(told.p)})."
    by = ", ".join(spoken(name) for name, _ in losses[:3])
    given = f", given away by {by}" if by else ""
    return f"Current rows can be told from reference rows{given}: {right}; by luck alone {chance(told.p)}."
