import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.training.problems import CLASSES, columns, contract, problem
from tiltyard.bundle.build import build_bundle
from tiltyard.bundle.model import Predictions
from tiltyard.bundle.runtime import Runtime
from tiltyard.errors import TrainingError
from tiltyard.evaluation.metrics import score
from tiltyard.project.metrics import Task
from tiltyard.project.model import Costs, SearchSection
from tiltyard.training.families import FAMILIES, facts_of
from tiltyard.training.fit import FitRows, fit
from tiltyard.training.problem import SearchResult

ROWS = FitRows(train=np.arange(150), validation=np.arange(150, 190), calibration=np.arange(190, 215))
HELD_OUT = np.arange(215, 240)


def found(family: str, task: Task) -> SearchResult:
    parameters = FAMILIES[family].defaults(facts_of(problem(task), 160))[0]
    iterations = 25 if family in ("boosting", "mlp") else None
    return SearchResult(
        family=family,
        parameters=parameters,
        iterations=iterations,
        score=0.0,
        metric="accuracy",
        trials=(),
        seconds=0.0,
        resumed=0,
        sentence="",
    )


@pytest.mark.parametrize(("family", "task"), [(family, task) for family in FAMILIES for task in Task])
def test_every_winner_becomes_a_bundle_that_answers_alike(family: str, task: Task, tmp_path: Path) -> None:
    model = fit(problem(task), found(family, task), contract=contract(task), settings=SearchSection(), rows=ROWS)
    assert model.classes == CLASSES[task]
    table = columns(240)
    build_bundle(model, contract(task), table, tmp_path / "bundle", project="demo", parity=1e-5)
    answers = Runtime.load(tmp_path / "bundle").predict(table)
    assert_allclose(answers.array, model.predict(table).array, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["boosting", "forest", "mlp"])
def test_a_fit_repeats_exactly(family: str) -> None:
    first, second = (
        fit(
            problem(Task.BINARY),
            found(family, Task.BINARY),
            contract=contract(Task.BINARY),
            settings=SearchSection(),
            rows=ROWS,
        )
        for _ in range(2)
    )
    assert_array_equal(first.predict(columns(240)).array, second.predict(columns(240)).array)
    assert pickle.loads(pickle.dumps(first)).family == family


def test_calibration_improves_the_log_loss_of_a_sharp_model() -> None:
    sharp = found("tree", Task.BINARY).model_copy(update={"parameters": {"pruning": 1e-6, "leaf_rows": 1}})
    losses = []
    for kind in ("none", "sigmoid"):
        settings = SearchSection.model_validate({"calibration": kind})
        model = fit(problem(Task.BINARY), sharp, contract=contract(Task.BINARY), settings=settings, rows=ROWS)
        answers = model.predict(columns(240))
        held_out = Predictions(probabilities=answers.array[HELD_OUT])
        losses.append(score("log_loss", problem(Task.BINARY).y[HELD_OUT], held_out))
    assert losses[1] < losses[0]


def test_missing_alarms_that_cost_nothing_lower_the_threshold() -> None:
    thresholds = [
        fit(
            problem(Task.BINARY),
            found("linear", Task.BINARY),
            contract=contract(Task.BINARY),
            settings=SearchSection(threshold=Costs(false_positive=alarm, false_negative=miss)),
            rows=ROWS,
        ).threshold
        for alarm, miss in ((1, 20), (20, 1))
    ]
    assert thresholds[0] < 0.5 < thresholds[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SearchSection(calibration="sigmoid"), r"no rows to calibrate.*split\.calibration"),
        (SearchSection(threshold="f1"), r"no validation rows.*split\.validation"),
    ],
)
def test_rows_that_are_needed_and_missing_are_named(settings: SearchSection, message: str) -> None:
    none = np.arange(0)
    rows = FitRows(train=np.arange(150), validation=none, calibration=none)
    with pytest.raises(TrainingError, match=message):
        fit(
            problem(Task.BINARY),
            found("linear", Task.BINARY),
            contract=contract(Task.BINARY),
            settings=settings,
            rows=rows,
        )
