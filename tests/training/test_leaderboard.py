from pathlib import Path

import pandas as pd
import pytest

from tiltyard.errors import TrainingError
from tiltyard.training.bench import Job, Outcome
from tiltyard.training.leaderboard import leaderboard, write_leaderboard
from tiltyard.training.problem import SearchResult, TrialRecord
from tiltyard.training.proposal import Proposal
from tiltyard.training.trial import Trial
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


def first_look(number: int, family: str, score: float) -> TrialRecord:
    return trial(number, family, score, screening=True, folds=(0,), fold_scores=(score,))


def test_a_family_without_time_for_a_full_trial_wins_by_a_better_score_on_the_same_fold() -> None:
    linear = (first_look(0, "linear", 0.72), trial(1, "linear", 0.7))
    assert best_of((*linear, first_look(2, "boosting", 0.8)), "roc_auc").number == 2
    assert best_of((*linear, first_look(2, "boosting", 0.71)), "roc_auc").number == 1
    late = trial(2, "boosting", 0.8, "unfinished", folds=(1,), fold_scores=(0.8,))
    assert best_of((*linear, late), "roc_auc").number == 2
    pruned = trial(3, "boosting", 0.6, "pruned", folds=(1,), fold_scores=(0.6,))
    assert best_of((*linear, late, pruned), "roc_auc").number == 1


def test_families_that_had_no_time_are_named() -> None:
    told = summary(TRIALS[2], TRIALS[:3], "roc_auc", 6.0, ["boosting", "forest", "svm"])
    assert told.endswith("boosting, forest and svm could not be tried in the time: give more seconds.")
    assert "could not" not in summary(TRIALS[2], TRIALS, "roc_auc", 6.0)


def test_what_was_cut_for_lack_of_time_is_not_called_pruned() -> None:
    proposal = Proposal("linear", {}, (0, 1), tolerance=0.01)
    late, bad = Trial(0, proposal), Trial(1, proposal)
    for one in (late, bad):
        one.started.add(0)
        one.outcomes[0] = Outcome(Job(one.number, "linear", {}, 0), 0.6, None, 100, 0.1)
    bad.judge([trial(2, "linear", 0.8)], "roc_auc", 0.0)
    for one in (late, bad):
        one.cut()
    assert (late.record(1.0).state, bad.record(1.0).state) == ("unfinished", "pruned")


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
