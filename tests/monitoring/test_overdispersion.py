"""What a few good windows leave of a p-value: all of it where nothing moves, and never more than they can know."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import ndtri
from scipy.stats import norm

from tiltyard.monitoring.overdispersion import Seen, tails

WINDOWS = 4


def seen(squares: np.ndarray, shared: float = 0.2, growth: float = 1.0, windows: int = WINDOWS) -> Seen:
    return Seen(squares, np.full(len(squares), shared), np.full(len(squares), growth), windows)


def drawn(rng: np.random.Generator, wobble: np.ndarray, shared: float, windows: int = WINDOWS) -> np.ndarray:
    """Deviates of windows that share a reference, shape (windows + 1, tests); the last is that of a new window."""
    columns = len(wobble)
    reference = rng.normal(0, np.sqrt(shared), columns)
    return np.asarray(reference + rng.normal(0, np.sqrt(1 - shared + wobble), (windows + 1, columns)))


def errors(wobble: np.ndarray, shared: float, level: float, times: int = 400) -> float:
    """Return how often p is at most `level` in a good window, over this."""
    rng = np.random.default_rng(3)
    found = 0.0
    for _ in range(times):
        z = drawn(rng, wobble, shared)
        found += float(np.mean(tails(np.abs(z[-1]), seen(np.mean(z[:-1] ** 2, axis=0), shared)) <= level))
    return found / times / level


@pytest.mark.parametrize("shared", [0.02, 0.5, 0.9])
def test_where_nothing_moves_little_is_lost(shared: float) -> None:
    z = float(-ndtri(5e-5))
    rng = np.random.default_rng(1)
    lives = [np.mean(drawn(rng, np.zeros(33), shared)[:-1] ** 2, axis=0) for _ in range(100)]
    p = np.array([tails(np.full(33, z), seen(squares, shared)) for squares in lives])
    assert (p >= 1e-4 - 1e-12).all()
    assert np.median(p) < 1.5e-4
    assert np.quantile(p, 0.9) < 6e-4


@pytest.mark.parametrize("wobble", [np.full(33, 3.5), np.full(12, 9.0), np.linspace(0, 12, 33)])
def test_what_moves_is_no_news(wobble: np.ndarray) -> None:
    assert errors(wobble, 0.2, 0.01) < 1.5
    assert errors(wobble, 0.2, 0.001) < 3.0
    plain = norm.sf(-ndtri(0.0005) / np.sqrt(1 + wobble)).mean() * 2 / 0.001
    assert plain > 50


def test_one_wild_column_does_not_blind_the_others() -> None:
    squares = np.append(np.ones(29), 100.0)
    p = tails(np.full(30, 6.0), seen(squares))
    assert p[-1] > 0.1
    assert p[:-1].max() < 0.001


def test_what_was_never_seen_is_judged_by_the_others() -> None:
    still, moving = (tails(np.full(9, 4.0), seen(np.append(np.full(8, square), np.nan)))[-1] for square in (1.0, 9.0))
    assert still < 0.003
    assert moving > 0.05


def test_windows_that_share_a_reference_are_fewer_than_they_are_many() -> None:
    uneven = np.geomspace(0.05, 6.0, 40)
    p_alone, p_shared = (tails(np.full(40, 4.0), seen(uneven, shared)) for shared in (0.0, 0.9))
    assert np.median(p_shared) < np.median(p_alone)


values = arrays(np.float64, 6, elements=st.floats(0, 50))


@settings(deadline=None)
@given(values, values, st.floats(0, 1), st.floats(0.1, 10), st.integers(4, 12))
def test_it_is_a_p_value_and_never_surer_than_the_plain_one(
    squares: np.ndarray, z: np.ndarray, shared: float, growth: float, windows: int
) -> None:
    known = seen(squares, shared, growth, windows)
    p = tails(z, known)
    assert ((p >= 2 * norm.sf(z) * (1 - 1e-9)) & (p <= 1)).all()
    assert (tails(z + 0.1, known) <= p + 1e-12).all()
