"""The fitted model as an estimator on a DataFrame answers as the fitted model and the bundle do."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyRegressor

from tests.bundle.tables import TEST, fitted, make_contract
from tiltyard.bundle.model import FittedModel
from tiltyard.bundle.runtime import Runtime
from tiltyard.bundle.table_model import TableModel
from tiltyard.errors import DataError
from tiltyard.project.metrics import Task

CONTRACT = make_contract(Task.BINARY)
FRAME = pd.DataFrame(TEST)


def test_it_answers_as_the_bundle(model: FittedModel, built: Path) -> None:
    table_model = TableModel(model, CONTRACT)
    runtime = Runtime.load(built)
    answer = runtime.predict(TEST)
    np.testing.assert_allclose(table_model.predict_proba(FRAME), answer.array, rtol=1e-9)
    assert table_model.predict(FRAME).tolist() == runtime.labels(answer)
    assert table_model.classes_.tolist() == ["no", "yes"]


def test_columns_come_in_any_order_and_are_typed_by_the_contract(model: FittedModel) -> None:
    table_model = TableModel(model, CONTRACT)
    shuffled = FRAME[FRAME.columns[::-1]].astype({"age": "string"})
    np.testing.assert_allclose(table_model.predict_proba(shuffled), table_model.predict_proba(FRAME))
    with pytest.raises(DataError, match="age"):
        table_model.predict(FRAME.assign(age="old"))


def test_it_can_be_pickled_and_cloned(model: FittedModel) -> None:
    table_model = TableModel(model, CONTRACT)
    again = pickle.loads(pickle.dumps(table_model))
    np.testing.assert_array_equal(again.predict_proba(FRAME), table_model.predict_proba(FRAME))
    assert clone(table_model, safe=False).contract == CONTRACT


def test_values_have_no_probabilities() -> None:
    table_model = TableModel(fitted(Task.REGRESSION, DummyRegressor()), make_contract(Task.REGRESSION))
    assert len(set(table_model.predict(FRAME))) == 1
    with pytest.raises(AttributeError, match="no probabilities"):
        table_model.predict_proba(FRAME)
