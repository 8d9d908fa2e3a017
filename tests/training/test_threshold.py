import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from tiltyard.errors import TrainingError
from tiltyard.project.model import Costs
from tiltyard.training.threshold import choose_threshold

METRICS = {"accuracy": accuracy_score, "f1": f1_score, "precision": precision_score, "recall": recall_score}
rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda step: step / 20)), min_size=2, max_size=40)


def split(pairs: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [*pairs, (0, 0.4), (1, 0.6)]
    return np.array([y for y, _ in pairs]), np.array([p for _, p in pairs])


@given(rows, st.sampled_from(sorted(METRICS)))
def test_no_other_threshold_is_better(pairs: list[tuple[int, float]], aim: str) -> None:
    y, probability = split(pairs)
    chosen = choose_threshold(y, probability, aim)
    metric = METRICS[aim]
    best = max(metric(y, probability >= cut) for cut in np.unique(probability))
    assert metric(y, probability >= chosen) >= best - 1e-12


@given(rows, st.integers(0, 9), st.integers(0, 9))
def test_no_other_threshold_is_cheaper(pairs: list[tuple[int, float]], alarm: int, miss: int) -> None:
    y, probability = split(pairs)
    costs = Costs(false_positive=alarm, false_negative=miss)

    def cost(cut: float) -> float:
        positive = probability >= cut
        return alarm * float(np.sum(positive & (y == 0))) + miss * float(np.sum(~positive & (y == 1)))

    assert cost(choose_threshold(y, probability, costs)) <= min(cost(cut) for cut in np.unique(probability))


def test_costs_move_the_threshold() -> None:
    random = np.random.default_rng(0)
    probability = random.random(5000)
    y = (random.random(5000) < probability).astype(np.int64)
    cheap = choose_threshold(y, probability, Costs(false_positive=1, false_negative=9))
    dear = choose_threshold(y, probability, Costs(false_positive=9, false_negative=1))
    assert cheap == pytest.approx(0.1, abs=0.06)
    assert dear == pytest.approx(0.9, abs=0.06)


def test_one_class_cannot_choose() -> None:
    with pytest.raises(TrainingError, match="hold one class only"):
        choose_threshold(np.zeros(4, dtype=np.int64), np.linspace(0, 1, 4), "f1")
