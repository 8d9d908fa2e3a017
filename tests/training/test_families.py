from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.problems import problem
from tiltyard.evaluation.metrics import score
from tiltyard.project.metrics import Task
from tiltyard.project.model import FAMILIES as DOCUMENTED
from tiltyard.project.model import SearchSection
from tiltyard.training.families import FAMILIES, facts_of, racing_families
from tiltyard.training.family import Facts, fit_pipeline, make_view, predict
from tiltyard.training.journal import distributions
from tiltyard.training.space import sample
from tiltyard.training.tree_families import most_leaves

EVERY = [(task, name) for task in Task for name in FAMILIES]


def test_the_registry_is_what_the_project_file_offers() -> None:
    assert set(FAMILIES) == set(DOCUMENTED)


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_every_family_beats_the_baseline(task: Task, name: str) -> None:
    given_problem, family = problem(task), FAMILIES[name]
    train, valid = given_problem.folds[0]
    facts = facts_of(given_problem, len(train))
    model = family.build(family.defaults(facts)[0], facts, 40 if name in ("boosting", "mlp") else None)
    fitted = fit_pipeline(family, model, given_problem.matrix[train], given_problem.y[train], facts)
    value = score(
        given_problem.metric, given_problem.y[valid], predict(fitted, given_problem.matrix[valid], facts.classes)
    )
    baseline = {Task.BINARY: 0.5, Task.MULTICLASS: 0.4, Task.REGRESSION: 160.0}[task]
    if name == "dummy":
        assert np.isfinite(value)
    elif task is Task.REGRESSION:
        assert value < baseline
    else:
        assert value > baseline + 0.1


@pytest.mark.parametrize(("task", "name"), [(task, name) for task in Task for name in ("boosting", "mlp")])
def test_early_stopping_finds_iterations_on_the_fold(task: Task, name: str) -> None:
    given_problem, family = problem(task), FAMILIES[name]
    train, valid = given_problem.folds[0]
    facts = facts_of(given_problem, len(train))
    matrix = given_problem.matrix
    if name == "mlp":
        matrix = np.asarray(make_view("dense", given_problem.levels).fit_transform(matrix), dtype=np.float32)
    y = given_problem.y
    parameters = family.defaults(facts)[0]
    answer, iterations = family.fit_until(
        family.build(parameters, facts), (matrix[train], y[train]), (matrix[valid], y[valid]), facts
    )
    assert iterations is not None
    assert 1 <= iterations < 500
    assert len(answer.array) == len(valid)


@given(
    st.sampled_from(sorted(FAMILIES)),
    st.sampled_from(list(Task)),
    st.integers(8, 2_000_000),
    st.lists(st.sampled_from([0, 0, 2, 40]), min_size=1, max_size=30),
    st.integers(0, 2**32 - 1),
)
def test_defaults_and_samples_lie_in_the_space(name: str, task: Task, rows: int, levels: list[int], seed: int) -> None:
    facts = Facts(task, {Task.BINARY: 2, Task.MULTICLASS: 5, Task.REGRESSION: 0}[task], rows, tuple(levels))
    family = FAMILIES[name]
    space = family.space(facts)
    drawn = [*family.defaults(facts), sample(space, np.random.default_rng(seed))]
    for parameters in drawn:
        assert set(parameters) == set(space)
        for key, form in distributions(space).items():
            assert form._contains(form.to_internal_repr(parameters[key]))
        assert family.work(parameters, facts) > 0
        family.build(parameters, facts)


def test_models_cannot_outgrow_the_bundle() -> None:
    facts = Facts(Task.MULTICLASS, 10, 500_000, (0,) * 20)
    forest = FAMILIES["forest"].build({"columns": 0.3, "leaf_rows": 1}, facts)
    assert forest.n_estimators * forest.max_leaf_nodes <= most_leaves(facts)
    wide = {"rate": 0.01, "leaves": 255, "leaf_rows": 5, "l2": 1.0, "columns": 1.0}
    boosting = FAMILIES["boosting"].build(wide, facts)
    assert boosting.max_iter * 255 * 10 <= most_leaves(facts)


def test_costly_families_stay_out_of_large_tables() -> None:
    large = Facts(Task.BINARY, 2, 1_000_000, (0,) * 50)
    assert [name for name, family in FAMILIES.items() if not family.suits(large)] == ["knn", "svm"]
    assert set(FAMILIES["svm"].space(large)["kernel"].options) == {"linear"}  # type: ignore[union-attr]


def test_families_asked_for_by_name_race_cheapest_first() -> None:
    chosen = racing_families(SearchSection(families=("svm", "linear"), trials=1), problem(Task.BINARY))
    assert [family.name for family in chosen] == ["linear", "svm"]


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"dummy", "knn"}))
def test_balanced_classes_reach_every_family(name: str) -> None:
    given_problem = problem(Task.BINARY, rows=400)
    rare = np.flatnonzero((given_problem.y == 0) | (np.arange(400) % 8 == 0))
    rates = []
    weights: tuple[Literal["balanced"] | None, ...] = (None, "balanced")
    for weight in weights:
        facts = Facts(Task.BINARY, 2, len(rare), given_problem.levels, class_weight=weight)
        family = FAMILIES[name]
        model = family.build(family.defaults(facts)[0], facts, 15)
        fitted = fit_pipeline(family, model, given_problem.matrix[rare], given_problem.y[rare], facts)
        rates.append(predict(fitted, given_problem.matrix, 2).array[:, 1].mean())
    assert rates[1] > rates[0] + 0.02
