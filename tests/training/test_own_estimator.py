"""Estimators of the user's own, good and bad."""

import textwrap
from pathlib import Path

import pytest

from tests.training.problems import problem
from tiltyard.errors import TrainingError
from tiltyard.project.metrics import Task
from tiltyard.project.model import SearchSection
from tiltyard.training.custom import check_estimators, load_own
from tiltyard.training.families import facts_of
from tiltyard.training.space import Choice, Real, Whole
from tiltyard.training.tuner import search

MODULE = """
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression

class Small(HistGradientBoostingClassifier):
    @staticmethod
    def search_space():
        return {"learning_rate": (0.05, 0.5, "log"), "max_iter": (5, 20), "max_leaf_nodes": [4, 8]}

class Broken(HistGradientBoostingClassifier):
    def fit(self, X, y):
        raise ZeroDivisionError("no luck")

class Crashing(HistGradientBoostingClassifier):
    def fit(self, X, y):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)

class Odd(HistGradientBoostingClassifier):
    @staticmethod
    def search_space():
        return {"max_iter": "many"}

class Line(LinearRegression):
    pass

class Nothing:
    pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project folder with a module in it; its name is new each time, so that no import is remembered."""
    (tmp_path / f"mine_{tmp_path.name}.py").write_text(textwrap.dedent(MODULE))
    return tmp_path


def named(folder: Path, kind: str) -> str:
    return f"mine_{folder.name}:{kind}"


def test_its_space_is_searched(folder: Path) -> None:
    settings = SearchSection(estimators=(named(folder, "Small"),), families=("dummy",), trials=8)
    result = search(problem(Task.BINARY, code_folder=folder), settings, folder / "search")
    own = [one for one in result.trials if one.family == named(folder, "Small")]
    assert result.family == named(folder, "Small")
    assert {tuple(one.parameters) for one in own} == {(), ("learning_rate", "max_iter", "max_leaf_nodes")}


def test_forms_of_a_space(folder: Path) -> None:
    family = load_own(named(folder, "Small"), folder)
    space = family.space(facts_of(problem(Task.BINARY), 100))
    assert space == {
        "learning_rate": Real(0.05, 0.5, log=True),
        "max_iter": Whole(5, 20),
        "max_leaf_nodes": Choice((4, 8)),
    }


def test_its_failure_ends_neither_the_search_nor_the_reason(folder: Path) -> None:
    bad = (named(folder, "Broken"), named(folder, "Crashing"))
    settings = SearchSection(estimators=bad, families=("dummy", "linear"), trials=6)
    result = search(problem(Task.BINARY, code_folder=folder), settings, folder / "search")
    errors = {one.family: one.error for one in result.trials if one.state == "failed"}
    assert result.family == "linear"
    assert "ZeroDivisionError: no luck" in errors[bad[0]]
    assert "the worker died" in errors[bad[1]]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Missing", "`Missing` is not an estimator class"),
        ("Nothing", "`Nothing` is not an estimator class"),
        ("Line", "is not a classifier"),
        ("Odd", "gives `max_iter` as 'many'"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(folder: Path, kind: str, message: str) -> None:
    settings = SearchSection(estimators=(named(folder, kind),), families=("dummy",), trials=3)
    with pytest.raises(TrainingError, match=message):
        search(problem(Task.BINARY, code_folder=folder), settings, folder / "search")


@pytest.mark.parametrize(
    ("kind", "task", "message"),
    [
        ("Missing", Task.BINARY, "`Missing` is not an estimator class"),
        ("Line", Task.BINARY, "is not a classifier"),
        ("Small", Task.REGRESSION, "is not a regressor"),
        ("Odd", Task.MULTICLASS, "gives `max_iter` as 'many'"),
    ],
)
def test_they_can_be_checked_before_any_data_is_read(folder: Path, kind: str, task: Task, message: str) -> None:
    good = SearchSection(estimators=(named(folder, "Small"), named(folder, "Broken")))
    check_estimators(good, Task.BINARY, folder)
    with pytest.raises(TrainingError, match=message) as caught:
        check_estimators(SearchSection(estimators=(named(folder, kind),)), task, folder)
    assert caught.value.cure


def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="`no_such_module` cannot be imported"):
        load_own("no_such_module:Model", tmp_path)
