"""Families of trees: one tree, forests, extra trees, gradient boosting."""

import math
from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tiltyard.bundle.model import Predictions
from tiltyard.training.family import MODEL_BYTES, Facts, Family, Rows, View, predict, quiet_fit
from tiltyard.training.space import Parameters, Real, Scalar, Space, Whole

SEARCH_TREES = 100
"""Trees of a forest; more hardly help and cost size."""

MAX_ITERATIONS = 5000
"""Boosting iterations at most."""

LEAST_RATE = 0.01
"""Least learning rate of boosting."""


def most_leaves(facts: Facts) -> int:
    """Return how many leaves all trees of a model may have together: a split and a leaf take about 100 bytes."""
    return int(MODEL_BYTES / (100 + 16 * facts.outputs))


class Tree(Family):
    """One decision tree, pruned by cost-complexity (Breiman et al. 1984); the strength is chosen on the folds."""

    name = "tree"
    view: View = "filled"

    def space(self, facts: Facts) -> Space:
        """Return the pruning strength and the least size of a leaf."""
        return {
            "pruning": Real(1e-6, 3e-2, log=True),
            "leaf_rows": Whole(1, max(2, min(200, facts.rows // 10)), log=True),
        }

    def defaults(self, facts: Facts) -> tuple[dict[str, Scalar], ...]:
        """Return a tree that is pruned a little."""
        return ({"pruning": 1e-4, "leaf_rows": max(1, min(20, facts.rows // 50))},)

    def build(self, parameters: Parameters, facts: Facts, iterations: int | None = None) -> Any:
        """Return the tree; `pruning` is relative to the variance of the target."""
        del iterations
        options: dict[str, Any] = {
            "ccp_alpha": float(parameters["pruning"]) * facts.spread,
            "min_samples_leaf": int(parameters["leaf_rows"]),
            "max_leaf_nodes": max(2, most_leaves(facts)),
            "random_state": facts.seed,
        }
        if facts.classes:
            return DecisionTreeClassifier(class_weight=facts.class_weight, **options)
        return DecisionTreeRegressor(**options)

    def work(self, parameters: Parameters, facts: Facts) -> float:
        """Return rows · log rows * columns."""
        del parameters
        return facts.rows * math.log2(facts.rows + 2) * len(facts.levels)


class Forest(Family):
    """Random forest (Breiman 2001)."""

    name = "forest"
    view: View = "filled"

    def space(self, facts: Facts) -> Space:
        """Return the share of columns a split looks at and the least size of a leaf."""
        return {
            "columns": Real(0.1, 1.0),
            "leaf_rows": Whole(1, max(2, min(50, facts.rows // 20)), log=True),
        }

    def defaults(self, facts: Facts) -> tuple[dict[str, Scalar], ...]:
        """Return deep trees on the usual share of columns."""
        usual = math.sqrt(len(facts.levels)) / len(facts.levels) if facts.classes else 0.4
        leaf = 1 if facts.classes > 2 else max(1, min(4, facts.rows // 100))
        return ({"columns": max(0.1, min(1.0, round(usual, 3))), "leaf_rows": leaf},)

    def build(self, parameters: Parameters, facts: Facts, iterations: int | None = None) -> Any:
        """Return the forest; the leaves of a tree are capped so that the graph stays small."""
        del iterations
        classifier, regressor = self._kinds()
        options: dict[str, Any] = {
            "n_estimators": SEARCH_TREES,
            "max_features": float(parameters["columns"]),
            "min_samples_leaf": int(parameters["leaf_rows"]),
            "max_leaf_nodes": max(2, most_leaves(facts) // SEARCH_TREES),
            "n_jobs": facts.threads,
            "random_state": facts.seed,
        }
        if facts.classes:
            return classifier(class_weight=facts.class_weight, **options)
        return regressor(**options)

    def work(self, parameters: Parameters, facts: Facts) -> float:
        """Return rows · log rows * columns looked at."""
        depth = math.log2(facts.rows / float(parameters["leaf_rows"]) + 2)
        return facts.rows * depth * (float(parameters["columns"]) * len(facts.levels) + 2.0)

    def _kinds(self) -> tuple[Any, Any]:
        return RandomForestClassifier, RandomForestRegressor


class ExtraTrees(Forest):
    """Extremely randomised trees (Geurts et al. 2006)."""

    name = "extra_trees"

    def _kinds(self) -> tuple[Any, Any]:
        return ExtraTreesClassifier, ExtraTreesRegressor


class Boosting(Family):
    """Histogram gradient boosting on ordinal codes, missing values as they are, stopped early on the scoring rows."""

    name = "boosting"
    view: View = "raw"

    def space(self, facts: Facts) -> Space:
        """Return step, size of the trees, and what holds them back."""
        return {
            "rate": Real(LEAST_RATE, 0.3, log=True),
            "leaves": Whole(4, max(5, min(255, facts.rows // 20)), log=True),
            "leaf_rows": Whole(2, max(3, min(200, facts.rows // 20)), log=True),
            "l2": Real(1e-3, 100.0, log=True),
            "columns": Real(0.15, 1.0),
        }

    def defaults(self, facts: Facts) -> tuple[dict[str, Scalar], ...]:
        """Return the usual form, a slow and careful one, and one with larger trees."""
        most = max(5, min(255, facts.rows // 20))
        rows = max(3, min(200, facts.rows // 20))
        usual: dict[str, Scalar] = {
            "rate": 0.1,
            "leaves": min(31, most),
            "leaf_rows": min(20, rows),
            "l2": 1e-3,
            "columns": 1.0,
        }
        careful: dict[str, Scalar] = {
            "rate": 0.06,
            "leaves": min(10, most),
            "leaf_rows": min(30, rows),
            "l2": 5.0,
            "columns": 0.4,
        }
        large: dict[str, Scalar] = {
            "rate": 0.07,
            "leaves": min(63, most),
            "leaf_rows": min(15, rows),
            "l2": 3.0,
            "columns": 0.5,
        }
        return (usual, careful, large)

    def build(self, parameters: Parameters, facts: Facts, iterations: int | None = None) -> Any:
        """Return the booster; never with `categorical_features`, whose conversion to ONNX is wrong."""
        rate, leaves = float(parameters["rate"]), int(parameters["leaves"])
        most = max(10, min(MAX_ITERATIONS, most_leaves(facts) // (leaves * facts.outputs)))
        options: dict[str, Any] = {
            "learning_rate": rate,
            "max_leaf_nodes": leaves,
            "min_samples_leaf": int(parameters["leaf_rows"]),
            "l2_regularization": float(parameters["l2"]),
            "max_features": float(parameters["columns"]),
            "max_iter": min(iterations or most, most),
            "early_stopping": iterations is None,
            "n_iter_no_change": 8 + round(1.0 / rate),
            "categorical_features": None,
            "random_state": facts.seed,
        }
        if facts.classes:
            return HistGradientBoostingClassifier(class_weight=facts.class_weight, **options)
        return HistGradientBoostingRegressor(**options)

    def work(self, parameters: Parameters, facts: Facts) -> float:
        """Return iterations (about 25 / rate) * the work of a tree."""
        leaves, columns = int(parameters["leaves"]), float(parameters["columns"])
        tree = facts.rows * math.log2(leaves + 1) * (columns * len(facts.levels) + 1.0) + 3000.0 * leaves
        return tree * max(1, facts.outputs) * 25.0 / float(parameters["rate"])

    def fit_until(self, model: Any, train: Rows, valid: Rows, facts: Facts) -> tuple[Predictions, int | None]:
        """Fit until the loss on the scoring rows stops falling; answer as the last iteration does."""
        with quiet_fit():
            model.fit(*train, X_val=valid[0], y_val=valid[1])
        best = int(np.argmax(model.validation_score_))
        return predict(model, valid[0], facts.classes), max(1, best)
