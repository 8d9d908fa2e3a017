import time
from pathlib import Path

import numpy as np
import pytest

from tests.training.problems import problem
from tiltyard.errors import TrainingError
from tiltyard.project.metrics import Task
from tiltyard.project.model import SearchSection
from tiltyard.training.journal import study_name
from tiltyard.training.problem import Progress, SearchResult
from tiltyard.training.tuner import search

FEW = ("dummy", "linear", "tree", "boosting")


def tried(result: SearchResult) -> list[tuple[object, ...]]:
    """Everything of a search that must not depend on time."""
    return [
        (one.number, one.family, one.parameters, one.state, one.fold_scores, one.folds, one.iterations)
        for one in result.trials
    ]


@pytest.mark.parametrize(
    "sampler", ["race", "tpe", *(pytest.param(one, marks=pytest.mark.exhaustive) for one in ("random", "grid"))]
)
def test_trials_alone_make_a_search_deterministic(sampler: str, tmp_path: Path) -> None:
    results = []
    for workers in (1, 3):
        settings = SearchSection.model_validate(
            {"trials": 14, "families": FEW, "sampler": sampler, "workers": workers, "folds": 3}
        )
        results.append(search(problem(Task.BINARY), settings, tmp_path / str(workers)))
    assert tried(results[0]) == tried(results[1])
    assert len(results[0].trials) == 14
    assert (results[0].family, results[0].score) == (results[1].family, results[1].score)


@pytest.mark.parametrize("task", [pytest.param(Task.MULTICLASS, marks=pytest.mark.exhaustive), Task.REGRESSION])
def test_the_best_complete_trial_wins(task: Task, tmp_path: Path) -> None:
    result = search(problem(task), SearchSection(trials=9, families=FEW), tmp_path)
    complete = [one.score for one in result.trials if one.state == "complete" and not one.screening and one.score]
    assert result.score == (min(complete) if task is Task.REGRESSION else max(complete))
    assert result.family in result.sentence
    assert SearchResult.model_validate_json(result.model_dump_json()) == result


def test_the_time_budget_is_kept(tmp_path: Path) -> None:
    heard: list[Progress] = []
    given_problem = problem(Task.BINARY, rows=4000)
    started = time.monotonic()
    result = search(given_problem, SearchSection(seconds=12.0), tmp_path, heard.append)
    assert time.monotonic() - started < 12.0 * 1.1
    assert result.seconds < 12.0 * 1.1
    assert heard[-1].score is not None
    assert heard[-1].seconds_limit == 12.0


def test_a_finished_search_is_not_repeated(tmp_path: Path) -> None:
    settings = SearchSection(trials=5, families=("dummy", "linear"))
    first = search(problem(Task.BINARY), settings, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["search.lock", "search.log"]
    started = time.monotonic()
    again = search(problem(Task.BINARY), settings, tmp_path)
    assert tried(again) == tried(first)
    assert again.resumed == len(first.trials)
    assert time.monotonic() - started < 1.5
    more = search(problem(Task.BINARY), settings.model_copy(update={"trials": 7}), tmp_path)
    assert tried(more)[:5] == tried(first)
    assert len(more.trials) == 7


def test_the_name_of_a_study_changes_with_data_and_settings_but_not_with_the_budget() -> None:
    given_problem, settings = problem(Task.BINARY), SearchSection(trials=2)
    name = study_name(given_problem, settings)
    assert name == study_name(problem(Task.BINARY), SearchSection(seconds=5.0, workers=1))
    assert name != study_name(problem(Task.BINARY, rows=200), settings)
    assert name != study_name(given_problem, SearchSection(trials=2, seed=1))


def test_there_is_an_answer_even_before_the_workers_are_there(tmp_path: Path) -> None:
    result = search(problem(Task.BINARY), SearchSection(seconds=0.2, families=FEW), tmp_path)
    assert result.family in FEW
    assert "in a first look" in result.sentence
    assert "boosting could not be tried in the time: give more seconds" in result.sentence


def test_no_time_at_all_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no trial ended within the budget") as caught:
        search(problem(Task.BINARY), SearchSection(seconds=1e-6), tmp_path)
    assert "`search.seconds`" in caught.value.cure


@pytest.mark.parametrize("metric", ["log_loss", pytest.param("f1", marks=pytest.mark.exhaustive)])
def test_any_metric_can_be_searched_for(metric: str, tmp_path: Path) -> None:
    result = search(problem(Task.BINARY, metric=metric), SearchSection(trials=4, families=FEW), tmp_path)
    assert result.metric == metric
    assert np.isfinite(result.score)
