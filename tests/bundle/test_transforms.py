"""The views: what they promise, and that their graphs do the same for any matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import Ridge

from tiltyard.bundle.graph_nodes import Nodes
from tiltyard.bundle.graph_views import dense, filled
from tiltyard.bundle.runtime import INPUT, GraphSession
from tiltyard.bundle.transforms import CLIP, ONE_HOT_LEVELS, DenseView, FilledView, ScaledTarget, signed_log
from tiltyard.project.metrics import Task

LEVELS = (0, 0, 3)
Matrix = NDArray[np.float32]

NUMBERS = st.one_of(st.just(float("nan")), st.floats(-(2.0**99), 2.0**99, width=32), st.integers(-5, 5).map(float))
CODES = st.sampled_from([float("nan"), -1.0, 0.0, 1.0, 2.0])


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    rows = draw(st.integers(1, 12))
    numbers = draw(arrays(np.float32, (rows, 2), elements=NUMBERS.map(lambda x: float(np.float32(x)))))
    codes = draw(arrays(np.float32, (rows, 1), elements=CODES))
    return np.concatenate([numbers, codes], axis=1)


@given(matrices(), matrices())
def test_the_filled_view_only_fills_holes_and_below_everything_seen(train: Matrix, rows: Matrix) -> None:
    view = FilledView(LEVELS).fit(train)
    out = view.transform(rows)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[~np.isnan(rows)], rows[~np.isnan(rows)])
    assert not np.isnan(out).any()
    for column in range(3):
        seen = train[:, column][~np.isnan(train[:, column])]
        assert (view.fill_[column] < seen).all()


@given(matrices(), matrices())
def test_the_dense_view_is_finite_and_bounded(train: Matrix, rows: Matrix) -> None:
    out = DenseView(LEVELS).fit(train).transform(rows)
    assert out.dtype == np.float64
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= CLIP


@given(matrices(), matrices())
def test_the_dense_graph_computes_the_dense_view(train: Matrix, rows: Matrix) -> None:
    view = DenseView(LEVELS).fit(train)
    nodes = Nodes(3)
    wanted = view.transform(rows)
    graph = nodes.model(dense(nodes, view, INPUT), "probabilities", [None, wanted.shape[1]])
    session = GraphSession(graph.SerializeToString(), features=3, task=Task.MULTICLASS, classes=wanted.shape[1])
    np.testing.assert_allclose(session.predict(rows).array, wanted, rtol=1e-12, atol=1e-12)


@given(matrices(), matrices())
def test_the_filled_graph_computes_the_filled_view_bit_for_bit(train: Matrix, rows: Matrix) -> None:
    view = FilledView(LEVELS).fit(train)
    nodes = Nodes(3)
    graph = nodes.model(nodes.double(filled(nodes, view, INPUT)), "probabilities", [None, 3])
    session = GraphSession(graph.SerializeToString(), features=3, task=Task.MULTICLASS, classes=3)
    np.testing.assert_array_equal(session.predict(rows).array.astype(np.float32), view.transform(rows))


def test_skewed_columns_are_logged_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    view = DenseView((0, 0)).fit(np.column_stack([rng.normal(size=500), np.exp(3 * rng.normal(size=500))]))
    assert view.skewed_.tolist() == [False, True]


def test_unknown_and_rare_levels_are_zeros_and_missing_has_a_column_when_seen() -> None:
    codes = np.array([[0.0], [1.0], [np.nan]], dtype=np.float32)
    view = DenseView((2,)).fit(codes)
    assert view.transform(codes).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert view.transform(np.array([[-1.0]], dtype=np.float32)).tolist() == [[0, 0, 0]]
    assert DenseView((1000,)).fit(codes[:2]).transform(codes).shape == (3, ONE_HOT_LEVELS)


def test_missing_numbers_are_the_median_and_say_so() -> None:
    view = DenseView((0,)).fit(np.array([[1.0], [2.0], [6.0], [np.nan]]))
    filled_in, hole = view.transform(np.array([[np.nan]]))[0]
    assert hole == 1.0
    assert filled_in == pytest.approx((2.0 - view.mean_[0]) / view.scale_[0])


@pytest.mark.parametrize("column", [[np.nan, np.nan], [7.0, 7.0], [1e30, -1e30]])
def test_columns_without_information_do_no_harm(column: list[float]) -> None:
    matrix = np.array(column, dtype=np.float32).reshape(-1, 1)
    assert np.isfinite(clone(DenseView((0,))).fit(matrix).transform(matrix)).all()
    assert np.isfinite(clone(FilledView((0,))).fit(matrix).transform(matrix)).all()


@given(st.floats(-1e30, 1e30))
def test_the_signed_log_is_odd_and_keeps_the_sign(number: float) -> None:
    out = signed_log(np.array([number, -number]))
    assert out[0] == -out[1]
    assert np.sign(out[0]) == np.sign(number) or abs(number) < 1e-15


def test_a_scaled_target_predicts_in_its_own_units() -> None:
    X = np.linspace(0, 1, 50).reshape(-1, 1)
    y = 1e6 + 2e5 * X[:, 0]
    model = ScaledTarget(Ridge(alpha=1e-9)).fit(X, y)
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-9)
    assert ScaledTarget(Ridge()).fit(X, np.full(50, 3.0)).predict(X) == pytest.approx(np.full(50, 3.0))
