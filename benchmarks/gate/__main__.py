"""How often the gate is right, where the truth is known: `python -m benchmarks.gate`.

Repeats each duel many times on fresh rows and prints how often the challenger is promoted, and how often the 95 %
interval of the difference covers the truth. Exits with 1 when a promise of the gate is broken.
"""

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.gate import worlds
from tiltyard.evaluation.gate import judge
from tiltyard.evaluation.metrics import score
from tiltyard.evaluation.paired import BOOTSTRAPPED, contest
from tiltyard.evaluation.records import Estimate, Evidence, Outcome, Scorecard
from tiltyard.evaluation.slices import Slice, compare_slices
from tiltyard.project.gates import GatesSection
from tiltyard.project.metrics import METRICS, Task

FALSE_PROMOTION = 0.06
POWER = 0.95
COVERAGE = (0.93, 0.97)
OUTCOMES: tuple[Outcome, ...] = ("promote", "refuse", "inconclusive")
_TRUTH_ROWS = 2_000_000
_MOST_BOOTSTRAPS = 1_000


TUNING = GatesSection()
FRESHNESS = GatesSection(mode="non_inferiority", margin=0.01)


@dataclass(frozen=True)
class Duel:
    """One setting that is repeated.

    Attributes:
        title: What is shown.
        world: Where the rows come from.
        metric: What decides.
        gain: Parameter of the world; 0 for two equal models.
        truth: True difference of the metric, positive for a better challenger; measured on many rows when None.
        gates: Conditions of the gate.
        most: Promotions allowed at most, as a share.
        least: Promotions wanted at least.
        slices: Random groups to look at.
        clusters: Whether the gate is told about clusters.
        rows: Rows that judge.
    """

    title: str
    world: worlds.World
    metric: str
    gain: float = 0.0
    truth: float | None = None
    gates: GatesSection = TUNING
    most: float = 1.0
    least: float = 0.0
    slices: int = 0
    clusters: bool = True
    rows: int = 2_000


@dataclass(frozen=True)
class Rates:
    """What happened over the repetitions, as shares."""

    promoted: float
    refused: float
    inconclusive: float
    covered: float


DUELS = (
    Duel("accuracy, equal", worlds.hits, "accuracy", 0.0, 0.0, most=FALSE_PROMOTION),
    Duel("accuracy, +2 points", worlds.hits, "accuracy", 0.02, 0.02, least=POWER),
    Duel("accuracy, -1 point", worlds.hits, "accuracy", -0.01, -0.01, most=FALSE_PROMOTION),
    Duel("accuracy, equal, 300 rows", worlds.hits, "accuracy", 0.0, 0.0, most=FALSE_PROMOTION, rows=300),
    Duel("accuracy in clusters, equal", worlds.clustered_hits, "accuracy", 0.0, 0.0, most=FALSE_PROMOTION),
    Duel("accuracy in clusters, +4 points", worlds.clustered_hits, "accuracy", 0.04, 0.04, least=POWER),
    Duel("ROC-AUC, equal", worlds.scores, "roc_auc", 0.0, 0.0, most=FALSE_PROMOTION),
    Duel("ROC-AUC, +0.02", worlds.scores, "roc_auc", 0.02, 0.02, least=POWER),
    Duel("ROC-AUC in clusters, equal", worlds.clustered_scores, "roc_auc", 0.0, 0.0, most=FALSE_PROMOTION),
    Duel("PR-AUC, equal", worlds.scores, "pr_auc", 0.0, 0.0, most=FALSE_PROMOTION),
    Duel("RMSE, equal", worlds.values, "rmse", 0.0, 0.0, most=FALSE_PROMOTION),
    Duel("RMSE, -5 %", worlds.values, "rmse", 0.05, 0.05, least=POWER),
    Duel("R², -5 % RMSE", worlds.values, "r2", 0.05, None, least=POWER),
    Duel("log loss, equal", worlds.probabilities, "log_loss", 0.0, 0.0, most=FALSE_PROMOTION),
    Duel("log loss, less noise", worlds.probabilities, "log_loss", 0.25, None, least=POWER),
    Duel("Brier score, equal", worlds.probabilities, "brier", 0.0, 0.0, most=FALSE_PROMOTION),
    Duel("F1, equal", worlds.probabilities, "f1", 0.0, 0.0, most=FALSE_PROMOTION),
    Duel("F1, less noise", worlds.probabilities, "f1", 0.9, None),
    Duel("no worse: equal, 5,000 rows", worlds.hits, "accuracy", 0.0, 0.0, FRESHNESS, least=0.8, rows=5_000),
    Duel("no worse: just at the margin", worlds.hits, "accuracy", -0.01, -0.01, FRESHNESS, most=FALSE_PROMOTION),
    Duel("no worse: equal, 20 slices", worlds.hits, "accuracy", 0.0, 0.0, FRESHNESS, slices=20, rows=5_000, least=0.8),
)


def truth_of(duel: Duel) -> float:
    """Return the true difference: as given, or measured once on two million rows."""
    if duel.truth is not None:
        return duel.truth
    draw = duel.world(np.random.default_rng(1), _TRUTH_ROWS, duel.gain)
    lead = score(duel.metric, draw.y, draw.challenger) - score(duel.metric, draw.y, draw.champion)
    return lead if METRICS[duel.metric].greater_is_better else -lead


def _scorecard(duel: Duel) -> Scorecard:
    """Return a scorecard that passes; the duel has no floors."""
    task = Task.REGRESSION if duel.world is worlds.values else Task.BINARY
    fine = {duel.metric: Estimate(value=1.0, low=1.0, high=1.0)}
    return Scorecard(task=task, rows=duel.rows, primary=duel.metric, metrics=fine)


def run(duel: Duel, repetitions: int, seed: int = 0) -> Rates:
    """Repeat a duel on fresh rows.

    Args:
        duel: The setting.
        repetitions: How often.
        seed: Seed of everything random.
    """
    truth, card = truth_of(duel), _scorecard(duel)
    outcomes, covered = [], 0
    for rng in np.random.default_rng(seed).spawn(repetitions):
        draw = duel.world(rng, duel.rows, duel.gain)
        groups = draw.groups if duel.clusters else None
        fight = contest(duel.metric, draw.y, draw.challenger, draw.champion, groups=groups, seed=seed)
        comparison = fight.decide()
        assert comparison is not None
        codes = rng.integers(0, max(duel.slices, 1), duel.rows)
        parts = [Slice("group", str(code), np.flatnonzero(codes == code)) for code in range(duel.slices)]
        slices = compare_slices(fight, parts, fewest=duel.gates.min_slice_rows)
        evidence = Evidence(champion="1", comparison=comparison, slices=slices)
        outcomes.append(judge(duel.gates, card, evidence).outcome)
        covered += comparison.difference.low <= truth <= comparison.difference.high
    promoted, refused, inconclusive = (outcomes.count(name) / repetitions for name in OUTCOMES)
    return Rates(promoted, refused, inconclusive, covered / repetitions)


def kept(duel: Duel, rates: Rates, repetitions: int) -> bool:
    """Return whether the promises hold; coverage may miss by two standard errors of the simulation."""
    slack = 2 * np.sqrt(0.05 * 0.95 / repetitions) if repetitions < 1000 else 0.0
    covered = COVERAGE[0] - slack <= rates.covered <= COVERAGE[1] + slack
    return bool(covered and duel.least - slack <= rates.promoted <= duel.most + slack)


def main() -> int:
    """Run all duels and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=4_000, help="1,000 would break a kept promise now and then")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        f"{'duel':34}{'rows':>6}{'times':>7}{'promoted':>10}{'wanted':>12}{'refused':>9}{'open':>7}{'covered':>9}{'seconds':>9}"
    )
    broken = 0
    for duel in DUELS:
        start = time.perf_counter()
        repetitions = min(arguments.repetitions, _MOST_BOOTSTRAPS if duel.metric in BOOTSTRAPPED else 10**9)
        rates = run(duel, repetitions, arguments.seed)
        fine = kept(duel, rates, repetitions)
        broken += not fine
        wanted = f"<= {duel.most:.0%}" if duel.most < 1 else f">= {duel.least:.0%}" if duel.least else "-"
        print(
            f"{duel.title:34}{duel.rows:>6}{repetitions:>7}{rates.promoted:>10.1%}{wanted:>12}{rates.refused:>9.1%}"
            f"{rates.inconclusive:>7.1%}{rates.covered:>9.1%}{time.perf_counter() - start:>9.1f}"
            f"{'' if fine else '  BROKEN'}",
            flush=True,
        )
    print(f"{len(DUELS) - broken} of {len(DUELS)} promises kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
