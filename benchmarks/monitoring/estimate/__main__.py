"""How good estimates without labels are, where the truth is known: `python -m benchmarks.monitoring.estimate`.

Repeats each setting on fresh rows and prints how often the 95 % interval covers the true metric of all such rows, and
the metric that just these rows turn out to have; how often the estimate is called valid; and how often it is called
contradicted once a fifth of the labels are there. Beside it the same for plain CBPE, which has no features: the
calibration of the reference as it is, without weights. Exits with 1 when a promise is broken.
"""

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.monitoring.estimate import worlds
from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.metrics import score
from tiltyard.evaluation.terms import Labels
from tiltyard.monitoring.domain import Table, tell
from tiltyard.monitoring.doubts import CONTRADICTED
from tiltyard.monitoring.estimate import Estimate, estimate
from tiltyard.monitoring.question import Question

COVERED = 0.90
FLAGGED = 0.90
FALSELY_CONTRADICTED = 0.05
_TRUTH_ROWS = 100_000
_MODELS = 5
_LABELLED = 0.2
_NAMES = tuple("abcdef")


@dataclass(frozen=True)
class Setting:
    """One setting that is repeated.

    Attributes:
        world: Where rows come from.
        model: Kind of model, see `worlds.learned`.
        metrics: What is estimated.
        shift: Standard deviations by which half of the features shift.
        concept: How far the concept moves; 0 for not at all.
        rows: Current rows.
        reference: Reference rows.
    """

    world: worlds.World
    model: str
    metrics: tuple[str, ...]
    shift: float = 0.0
    concept: float = 0.0
    rows: int = 3_000
    reference: int = 3_000


@dataclass(frozen=True)
class Rates:
    """What happened over the repetitions, as shares; `covered` of those that were valid before labels came.

    Attributes:
        valid: Estimates called valid before labels came.
        covered: Intervals that hold the metric of all such rows.
        seen: Intervals that hold the metric that these rows turned out to have.
        contradicted: Estimates called invalid by labels.
        error: Mean distance of the estimate from the metric of all such rows.
        width: Mean width of the interval.
        plain: Mean distance of plain CBPE or a loss model without features.
        plain_covered: Intervals of that which hold the metric of all such rows.
    """

    valid: float
    covered: float
    seen: float
    contradicted: float
    error: float
    width: float
    plain: float
    plain_covered: float


CLASSES = ("roc_auc", "accuracy", "log_loss")
VALUES = ("mae", "rmse")
SHIFTED = tuple(
    Setting(world, model, metrics, shift)
    for world, models, metrics in (
        (worlds.TWO, ("line", "trees", "sure"), CLASSES),
        (worlds.THREE, ("line", "trees"), ("accuracy", "roc_auc")),
        (worlds.VALUE, ("line", "trees"), VALUES),
    )
    for model in models
    for shift in (0.0, 0.5, 1.0)
)
SETTINGS = (
    *SHIFTED,
    Setting(worlds.TWO, "trees", ("roc_auc",), 2.0),
    Setting(worlds.TWO, "trees", CLASSES, 0.5, rows=500, reference=1_000),
    Setting(worlds.VALUE, "trees", VALUES, 0.5, rows=500, reference=1_000),
    Setting(worlds.TWO, "trees", CLASSES, 0.0, 0.5),
    Setting(worlds.TWO, "trees", CLASSES, 0.5, 0.5),
    Setting(worlds.THREE, "trees", ("accuracy",), 0.5, 1.0),
    Setting(worlds.VALUE, "trees", VALUES, 0.5, 0.5),
)


def run(setting: Setting, repetitions: int, seed: int = 0, *, models: int = _MODELS) -> dict[str, Rates]:
    """Repeat a setting on fresh rows.

    Args:
        setting: Which.
        repetitions: How often.
        seed: Seed of everything random.
        models: Different models that take turns.

    Returns:
        What happened, by metric.
    """
    root = np.random.default_rng(seed)
    learned = [worlds.learned(setting.world, setting.model, rng) for rng in root.spawn(models)]
    truths = [_truth(setting, model, rng) for model, rng in zip(learned, root.spawn(models), strict=True)]
    found: dict[str, list[tuple[float, ...]]] = {metric: [] for metric in setting.metrics}
    for number, rng in enumerate(root.spawn(repetitions)):
        model, truth = learned[number % models], truths[number % models]
        for metric, line in _once(setting, model, truth, rng, number).items():
            found[metric].append(line)
    return {metric: _rates(np.array(lines)) for metric, lines in found.items()}


def _truth(setting: Setting, model: worlds.Model, rng: np.random.Generator) -> dict[str, float]:
    draw = setting.world.draw(rng, _TRUTH_ROWS, shift=setting.shift, concept=setting.concept)
    predictions = model(draw.x)
    return {metric: score(metric, draw.y, predictions) for metric in setting.metrics}


def _once(
    setting: Setting, model: worlds.Model, truth: dict[str, float], rng: np.random.Generator, seed: int
) -> dict[str, tuple[float, ...]]:
    """Return what happened in one repetition, by metric."""
    before = setting.world.draw(rng, setting.reference)
    now = setting.world.draw(rng, setting.rows, shift=setting.shift, concept=setting.concept)
    table = Table(_NAMES, np.zeros(len(_NAMES), np.bool_), before.x, now.x)
    told = tell(table, seed=seed)
    labels: Labels = np.where(rng.random(len(now.y)) < _LABELLED, now.y, -1 if now.y.dtype == np.int64 else np.nan)
    said, answers = model(before.x), model(now.x)
    lines = {}
    for metric in setting.metrics:
        question = Question(metric, before.y, said, answers, table, labels)
        one = estimate(question, told=told, seed=seed)
        plain = estimate(Question(metric, before.y, said, answers), seed=seed)
        lines[metric] = _line(one, plain, truth[metric], _seen(metric, now.y, answers))
    return lines


def _seen(metric: str, y: Labels, answers: Predictions) -> float:
    return score(metric, y, answers)


def _line(one: Estimate, plain: Estimate, truth: float, seen: float) -> tuple[float, ...]:
    if one.value is None or one.low is None or one.high is None or one.contradiction is None:
        return (0.0,) * 8
    assert plain.value is not None
    assert plain.low is not None
    assert plain.high is not None
    contradicted = one.contradiction < CONTRADICTED
    return (
        one.valid or (contradicted and one.why.count(";") == 0),
        one.low <= truth <= one.high,
        one.low <= seen <= one.high,
        contradicted,
        abs(one.value - truth),
        one.high - one.low,
        abs(plain.value - truth),
        plain.low <= truth <= plain.high,
    )


def _rates(lines: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Rates:
    valid = lines[:, 0] > 0
    some = lines[valid] if valid.any() else np.full((1, lines.shape[1]), np.nan)
    means = some.mean(axis=0)
    return Rates(
        float(valid.mean()), float(means[1]), float(means[2]), float(lines[:, 3].mean()), *map(float, means[4:])
    )


def kept(setting: Setting, rates: Rates, repetitions: int) -> bool:
    """Return whether the promises hold, within two standard errors of the simulation."""
    slack = 2 * np.sqrt(0.09 / repetitions)
    if setting.concept:
        return bool(rates.contradicted >= FLAGGED - slack)
    if rates.valid == 0:
        return True
    covered = min(rates.covered, rates.seen) >= COVERED - slack
    return bool(covered and (setting.shift > 0 or rates.contradicted <= FALSELY_CONTRADICTED + slack))


def main() -> int:
    """Run all settings and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only worlds whose title has this")
    arguments = parser.parse_args()
    print(
        f"{'world':16}{'model':7}{'shift':>6}{'concept':>8}{'rows':>6} {'metric':9}{'valid':>7}{'covered':>9}"
        f"{'of these':>9}{'refuted':>9}{'error':>8}{'width':>8}{'plain':>8}{'covered':>9}{'seconds':>9}"
    )
    broken = total = 0
    for setting in SETTINGS:
        if arguments.only not in setting.world.title:
            continue
        start = time.perf_counter()
        with threadpool_limits(1):
            outcome = run(setting, arguments.repetitions, arguments.seed)
        seconds = time.perf_counter() - start
        for metric, rates in outcome.items():
            fine = kept(setting, rates, arguments.repetitions)
            total, broken = total + 1, broken + (not fine)
            print(
                f"{setting.world.title:16}{setting.model:7}{setting.shift:>6}{setting.concept:>8}{setting.rows:>6} "
                f"{metric:9}{rates.valid:>7.0%}{rates.covered:>9.0%}{rates.seen:>9.0%}{rates.contradicted:>9.0%}"
                f"{rates.error:>8.4f}{rates.width:>8.4f}{rates.plain:>8.4f}{rates.plain_covered:>9.0%}{seconds:>9.1f}"
                f"{'' if fine else '  BROKEN'}",
                flush=True,
            )
    print(f"{total - broken} of {total} promises kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
