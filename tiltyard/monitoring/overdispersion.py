"""How much more a family of tests varies between good windows than by chance, and what that leaves of a test's p-value.

A test's deviate z has the variance 1 + t: 1 is what two samples of one distribution differ by, t what good windows move
by. What t is, few windows say badly of one column and well of a family of columns, so they are asked together (Smyth
2004; Lu and Stephens 2016): t is 0 for all of a family that does not move, and otherwise of a gamma distribution over
its columns. How likely that is, with what mean and how uneven, follows from the family by Bayes' rule, on a grid.
Nothing is estimated by a single number, so a family that shows no wobble keeps its plain p-values, whatever chance
makes of a few windows; and one that does is not held for better known than it is.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaln, ndtr

STILL = 0.8
"""Chance, before anything is seen, that a family does not move at all: to believe otherwise takes odds of 4 to 1, what
Kass and Raftery (1995) call positive evidence."""

_EXCESSES = np.concatenate([[0.0], np.geomspace(0.05, 20_000.0, 80)])
_MEANS = np.geomspace(0.1, 2_000.0, 30)
_SHAPES = (4.0, 2.0, 1.0, 0.5, 0.25)
_LEAST_SQUARE = 0.02
_LEAST = 1e-300


class Seen(NamedTuple):
    """What accepted windows have shown of the tests of a family, arrays of shape (tests,).

    Attributes:
        squares: Mean square of each test's deviate over those windows; NaN where it was never made.
        shared: Share of the variance of a deviate that comes from the reference, which is the same in each window.
        growth: How many times the effective size of those windows this one has: t grows with it.
        windows: How many they were.
    """

    squares: NDArray[np.float64]
    shared: NDArray[np.float64]
    growth: NDArray[np.float64]
    windows: int


class _Prior(NamedTuple):
    """Distributions that t may have, shape (distributions, excesses), and the logarithms of their chances."""

    shares: NDArray[np.float64]
    log_chances: NDArray[np.float64]


def tails(z: NDArray[np.float64], seen: Seen) -> NDArray[np.float64]:
    """Return for each test of a family how often a good window shows as much: never below its plain p-value.

    The normal tails for all t, each weighted by the posterior of t given that test and all others of the family (a
    predictive tail: Gelman et al., "Bayesian Data Analysis", 3rd ed. 2013, sections 5.3 and 6.3).

    Args:
        z: Size of the deviates of this window, at least 0, shape (tests,).
        seen: What is known of the family.

    Returns:
        Shape (tests,), between 0 and 1.
    """
    deviations = np.sqrt(1.0 + _EXCESSES * seen.growth[:, None])
    tail = 2.0 * ndtr(-z[:, None] / deviations)
    return np.asarray(np.minimum(1.0, np.einsum("ij,ij->i", _posterior(seen), tail)), dtype=np.float64)


def _posterior(seen: Seen) -> NDArray[np.float64]:
    """Return the chance of each excess for each test, shape (tests, excesses)."""
    prior = _prior()
    likelihood = _likelihood(seen)
    marginal = np.maximum(likelihood @ prior.shares.T, _LEAST)
    log_chances = prior.log_chances + np.log(marginal).sum(axis=0)
    chances = np.exp(log_chances - log_chances.max())
    chances /= chances.sum()
    return np.asarray(likelihood * ((chances / marginal) @ prior.shares), dtype=np.float64)


def _likelihood(seen: Seen) -> NDArray[np.float64]:
    """Return how likely each excess makes the mean squares, up to a factor for each test, shape (tests, excesses).

    A mean square over K windows is (1 + t) chi² / d with d degrees of freedom. All windows share one reference, so
    their deviates have the covariance s, its share, and the variance of the mean square is that of d = K / (1 + (K - 1)
    (s / (1 + t))²) independent ones (Satterthwaite 1946).
    """
    variances = 1.0 + _EXCESSES
    free = seen.windows / (1.0 + (seen.windows - 1) * (seen.shared[:, None] / variances) ** 2)
    half = free * np.maximum(seen.squares, _LEAST_SQUARE)[:, None] / variances / 2
    logs = (free / 2 - 1.0) * np.log(half) - half - gammaln(free / 2) + np.log(free / variances)
    logs[np.isnan(seen.squares)] = 0.0
    return np.asarray(np.exp(logs - logs.max(axis=1, keepdims=True)), dtype=np.float64)


@cache
def _prior() -> _Prior:
    """Return no excess at all, and gamma distributions of all means and shapes, these alike among themselves."""
    edges = np.sqrt(_EXCESSES[1:-1] * _EXCESSES[2:])
    edges = np.concatenate([[_EXCESSES[1] / 2], edges])
    still = np.zeros((1, len(_EXCESSES)))
    still[0, 0] = 1.0
    shape, mean = (each.ravel()[:, None] for each in np.meshgrid(_SHAPES, _MEANS))
    below = gammainc(shape, edges * shape / mean)
    moving = np.diff(below, axis=1, prepend=0.0, append=1.0)
    chances = np.concatenate([[STILL], np.full(len(moving), (1.0 - STILL) / len(moving))])
    return _Prior(np.concatenate([still, moving]), np.log(chances))
