"""The promises of the gate at a smaller size than `python -m benchmarks.gate`, seeded."""

import pytest

from benchmarks.gate.__main__ import DUELS, Duel, kept, run
from tiltyard.evaluation.paired import BOOTSTRAPPED

FAST = [duel for duel in DUELS if duel.metric in {"accuracy", "rmse", "log_loss"} and duel.slices == 0]
SLOW = [
    pytest.param(duel, id=duel.title, marks=[pytest.mark.exhaustive] if duel.metric in BOOTSTRAPPED else [])
    for duel in DUELS
    if duel not in FAST
]


@pytest.mark.parametrize("duel", FAST, ids=lambda duel: duel.title)
def test_promises_of_the_gate(duel: Duel) -> None:
    assert kept(duel, run(duel, 200, seed=3), 200)


@pytest.mark.parametrize("duel", SLOW)
def test_promises_of_the_gate_for_order_slices_and_the_bootstrap(duel: Duel) -> None:
    assert kept(duel, run(duel, 40, seed=3), 40)


def test_clusters_that_are_ignored_promote_too_much() -> None:
    duel = next(duel for duel in DUELS if duel.title == "ROC-AUC in clusters, equal")
    informed = run(duel, 100, seed=1)
    blind = run(Duel(duel.title, duel.world, duel.metric, truth=0.0, clusters=False), 100, seed=1)
    assert blind.covered < informed.covered
    assert blind.promoted > informed.promoted
