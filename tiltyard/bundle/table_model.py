"""The fitted model as an ordinary scikit-learn estimator on a DataFrame, for MLflow's own tools."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.model import FittedModel, Predictions
from tiltyard.data.coercion import coerce_features, feature_columns
from tiltyard.data.contract import Contract


class TableModel(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A fitted model that takes the contract's feature columns as a DataFrame, protected already.

    It is kept as texts, numbers and a scikit-learn estimator, so that skops can write it without pickling.

    Args:
        model: The fitted model.
        contract: Its data contract; types the columns.

    Example:
        >>> TableModel(model, contract).predict(frame)      # doctest: +SKIP
        array(['no', 'yes'], dtype=object)
    """

    def __init__(self, model: FittedModel, contract: Contract) -> None:
        self.model = model
        self.contract = contract

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes in the order of the probabilities."""
        return _class_array(self.model)

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:
        """Return the model: it is fitted already."""
        del X, y
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """Return the class of each row by the model's threshold, or its value; shape (n,).

        Args:
            X: The feature columns, in any order and any dtype that the contract can type.

        Raises:
            DataError: A value breaks the contract; names row and column.
        """
        answer = self._answer(X)
        if answer.probabilities is None:
            return answer.array
        return np.asarray(self.classes_[answer.labels(self.model.threshold)])

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Return the probabilities, shape (n, k), columns in the order of `classes_`.

        Args:
            X: As for `predict`.

        Raises:
            DataError: A value breaks the contract.
            AttributeError: The model predicts values.
        """
        probabilities = self._answer(X).probabilities
        if probabilities is None:
            raise AttributeError("a regression model has no probabilities; call `predict`")
        return probabilities

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __getstate__(self) -> dict[str, Any]:
        model = self.model
        return {
            "contract": self.contract.model_dump_json(),
            "encoder": model.encoder.model_dump_json(),
            "estimator": model.estimator,
            "classes": list(model.classes),
            "threshold": model.threshold,
            "family": model.family,
            "parameters": dict(model.parameters),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.contract = Contract.model_validate_json(state["contract"])
        self.model = FittedModel(
            task=self.contract.task,
            classes=tuple(state["classes"]),
            encoder=Encoder.model_validate_json(state["encoder"]),
            estimator=state["estimator"],
            threshold=state["threshold"],
            family=state["family"],
            parameters=state["parameters"],
        )

    def _answer(self, X: pd.DataFrame) -> Predictions:
        typed = coerce_features(X, self.contract, where="the table")
        return self.model.predict(feature_columns(typed, self.contract))


def _class_array(model: FittedModel) -> NDArray[Any]:
    """Return the classes as an array of their own type, of objects when they are mixed."""
    kinds = {type(level) for level in model.classes}
    if kinds == {str} or len(kinds) > 1:
        return np.array(model.classes, dtype=object)
    return np.array(model.classes)
