from pathlib import Path

import pandas as pd
import pytest

from tiltyard.errors import TrainingError
from tiltyard.training.leaderboard import leaderboard, write_leaderboard
from tiltyard.training.problem import SearchResult, TrialRecord
from tiltyard.training.winner import best_of, summary


def trial(number: int, family: str, score: float | None, state: str = "complete", **more: object) -> TrialRecord:
    content = {"number": number, "family": family, "parameters": {"a": 0.12345, "b": "x"}, "state": state}
    folds = {"folds": (0, 1), "fold_scores": (score, score)} if score is not None else {}
    return TrialRecord.model_validate({**content, "score": score, "finished": float(number), **folds, **more})


TRIALS = (
    trial(0, "dummy", 0.5),
    trial(1, "linear", 0.99, screening=True, folds=(0,), fold_scores=(0.99,)),
    trial(2, "linear", 0.8),
    trial(3, "boosting", 0.9, "pruned", folds=(0,), fold_scores=(0.9,)),
    trial(4, "boosting", 0.85),
    trial(5, "svm", None, "failed", error="ValueError: no"),
)
RESULT = SearchResult(
    family="boosting",
    parameters={},
    iterations=None,
    score=0.85,
    metric="roc_auc",
    trials=TRIALS,
    seconds=6.0,
    resumed=0,
    sentence="boosting won.",
)


def test_only_trials_on_all_folds_can_win() -> None:
    assert best_of(TRIALS, "roc_auc").number == 4
    assert best_of(TRIALS, "log_loss").number == 0
    assert best_of(TRIALS[1:2], "roc_auc").number == 1
    assert "before linear with 0.8000" in summary(TRIALS[4], TRIALS, "roc_auc", 6.0)


def test_when_nothing_succeeds_the_first_reason_is_told() -> None:
    with pytest.raises(TrainingError, match="no trial succeeded; `svm`: ValueError: no"):
        best_of(TRIALS[5:], "roc_auc")


def test_the_table_has_every_trial_with_the_winner_first(tmp_path: Path) -> None:
    table = leaderboard(RESULT)
    assert table["number"].tolist()[:3] == [4, 2, 0]
    assert table["number"].tolist()[-1] == 5
    assert table["parameters"][0] == "a 0.1235, b x"
    file, picture = write_leaderboard(RESULT, tmp_path)
    assert len(pd.read_csv(file)) == len(TRIALS)
    assert picture.read_bytes().startswith(b"\x89PNG")
