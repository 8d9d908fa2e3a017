"""Nearest neighbours: one answer whatever the ties, the same from the graph."""

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from tiltyard.bundle.graph import write
from tiltyard.bundle.graph_nodes import Nodes
from tiltyard.bundle.neighbours import NeighboursClassifier, NeighboursRegressor
from tiltyard.bundle.runtime import INPUT, GraphSession
from tiltyard.project.metrics import Task

P = Literal[1, 2]


def grid_table(rows: int, seed: int) -> NDArray[np.float64]:
    """Three categories, one-hot: nearly every distance is shared by many rows."""
    codes = np.random.default_rng(seed).integers(0, 3, (rows, 3))
    return np.concatenate([codes == level for level in range(3)], axis=1).astype(np.float64)


def first_of_equals(X: NDArray[Any], y: NDArray[Any], rows: NDArray[Any], k: int, p: P) -> NDArray[np.float64]:
    distances = (np.abs(rows[:, None] - X[None]) ** p).sum(axis=2)
    return np.asarray(y[np.argsort(distances, axis=1, kind="stable")[:, :k]].mean(axis=1))


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("k", [1, 7, 300])
def test_the_first_of_equally_distant_rows_counts(p: P, k: int) -> None:
    X, rows = grid_table(300, 0), grid_table(60, 1)
    y = np.random.default_rng(2).integers(0, 2, 300)
    answer = NeighboursClassifier(k, p=p).fit(X, y).predict_proba(rows)[:, 1]
    np.testing.assert_allclose(answer, first_of_equals(X, y, rows, k, p))


@pytest.mark.parametrize("p", [1, 2])
def test_the_graph_breaks_ties_the_same_way(p: P) -> None:
    X, rows = grid_table(300, 0), grid_table(200, 1)
    model = NeighboursClassifier(7, p=p).fit(X, np.random.default_rng(2).integers(0, 3, 300))
    nodes = Nodes(9)
    answer = write(nodes, model, INPUT).probabilities
    assert answer is not None
    graph = nodes.model(answer, "probabilities", [None, 3]).SerializeToString()
    session = GraphSession(graph, features=9, task=Task.MULTICLASS, classes=3)
    np.testing.assert_array_equal(session.predict(rows.astype(np.float32)).array, model.predict_proba(rows))


@pytest.mark.parametrize("p", [1, 2])
def test_without_ties_it_agrees_with_scikit_learn(p: P) -> None:
    rng = np.random.default_rng(0)
    X, rows, y = rng.normal(size=(400, 6)), rng.normal(size=(100, 6)), rng.normal(size=400)
    labels = (y > 0).astype(int)
    wanted = KNeighborsRegressor(9, p=p).fit(X, y).predict(rows)
    np.testing.assert_allclose(NeighboursRegressor(9, p=p).fit(X, y).predict(rows), wanted)
    classes = KNeighborsClassifier(9, p=p).fit(X, labels).predict(rows)
    np.testing.assert_array_equal(NeighboursClassifier(9, p=p).fit(X, labels).predict(rows), classes)


def test_more_neighbours_than_rows_are_all_rows() -> None:
    model = NeighboursRegressor(50).fit(np.zeros((3, 1)), np.array([1.0, 2.0, 6.0]))
    assert model.predict(np.ones((2, 1))).tolist() == [3.0, 3.0]
    assert model.predict(np.ones((0, 1))).shape == (0,)


def test_answers_do_not_depend_on_the_batch() -> None:
    X, rows = grid_table(300, 0), grid_table(50, 1)
    model = NeighboursRegressor(5).fit(X, np.arange(300.0))
    singly = [model.predict(row.reshape(1, -1))[0] for row in rows]
    assert model.predict(rows).tolist() == singly
