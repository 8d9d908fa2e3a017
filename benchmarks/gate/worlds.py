"""Worlds in which the truth is known: two models, their answers on fresh rows, and their true difference.

Each world is a function of a random generator, the number of rows and the true gain; the models' errors go together,
as those of two models of the same table do.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from tiltyard.bundle.model import Predictions


@dataclass(frozen=True)
class Draw:
    """Two models on fresh rows.

    Attributes:
        y: True answers, shape (n,).
        challenger: One model's answers.
        champion: The other's.
        groups: Cluster of each row, or None when rows are independent.
    """

    y: NDArray[np.int64] | NDArray[np.float64]
    challenger: Predictions
    champion: Predictions
    groups: NDArray[np.int64] | None = None


World = Callable[[np.random.Generator, int, float], Draw]


def binary(scores: NDArray[np.float64]) -> Predictions:
    """Return probabilities of two classes from those of the second."""
    return Predictions(probabilities=np.column_stack([1.0 - scores, scores]))


def _right_or_wrong(y: NDArray[np.int64], right: NDArray[np.bool_]) -> Predictions:
    return binary(np.where(right, y, 1 - y).astype(np.float64))


def hits(rng: np.random.Generator, rows: int, gain: float, discordant: float = 0.06) -> Draw:
    """Draw two classifiers of about 85 % accuracy that disagree about 6 % of the rows; the gain is of accuracy."""
    y = rng.integers(0, 2, rows)
    place = rng.random(rows)
    only_challenger = place < (discordant + gain) / 2
    only_champion = ~only_challenger & (place < discordant)
    both = (place >= discordant) & (rng.random(rows) < 0.82 / (1 - discordant))
    return Draw(y, _right_or_wrong(y, both | only_challenger), _right_or_wrong(y, both | only_champion))


def clustered_hits(rng: np.random.Generator, rows: int, gain: float, size: int = 10) -> Draw:
    """Draw the same in clusters of ten rows, each cluster favouring one of the models."""
    groups = np.arange(rows) // size
    favour = rng.choice([-0.05, 0.05], size=groups[-1] + 1)[groups]
    y = rng.integers(0, 2, rows)
    place = rng.random(rows)
    only_challenger = place < 0.06 + (gain + favour) / 2
    only_champion = ~only_challenger & (place < 0.12)
    both = (place >= 0.12) & (rng.random(rows) < 0.82 / 0.88)
    return Draw(y, _right_or_wrong(y, both | only_challenger), _right_or_wrong(y, both | only_champion), groups)


_AREA = 0.85


def scores(rng: np.random.Generator, rows: int, gain: float) -> Draw:
    """Draw two binormal scores of AUC 0.85 that correlate at 0.9, three rows in ten positive; the gain is of AUC."""
    y = (rng.random(rows) < 0.3).astype(np.int64)
    noise = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=rows)
    shift = np.sqrt(2) * norm.ppf([_AREA + gain, _AREA])
    lifted = expit(noise + y[:, None] * shift)
    return Draw(y, binary(lifted[:, 0]), binary(lifted[:, 1]))


def clustered_scores(rng: np.random.Generator, rows: int, gain: float, size: int = 10) -> Draw:
    """Draw the same in clusters of ten rows that share part of their noise and of their class."""
    groups = np.arange(rows) // size
    clusters = groups[-1] + 1
    y = (rng.random(rows) < rng.choice([0.1, 0.5], size=clusters)[groups]).astype(np.int64)
    covariance = [[1, 0.8], [0.8, 1]]
    shared = rng.multivariate_normal([0, 0], covariance, size=clusters)[groups]
    noise = np.sqrt(0.5) * (shared + rng.multivariate_normal([0, 0], covariance, size=rows))
    shift = np.sqrt(2) * norm.ppf([_AREA + gain, _AREA])
    lifted = expit(noise + y[:, None] * shift)
    return Draw(y, binary(lifted[:, 0]), binary(lifted[:, 1]), groups)


def values(rng: np.random.Generator, rows: int, gain: float) -> Draw:
    """Draw two regressors with errors of RMSE 1 that correlate at 0.9 and have heavy tails; the gain is of RMSE."""
    y = rng.normal(10, 3, rows)
    heavy = np.sqrt(rng.chisquare(8, rows) / 6)[:, None]
    errors = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=rows) / heavy
    return Draw(y, Predictions(values=y + (1 - gain) * errors[:, 0]), Predictions(values=y + errors[:, 1]))


_NOISE = 0.7


def probabilities(rng: np.random.Generator, rows: int, gain: float) -> Draw:
    """Draw two noisy views of the true log-odds; `gain` takes that share off the challenger's noise."""
    odds = rng.normal(0, 1.5, rows)
    y = (rng.random(rows) < expit(odds)).astype(np.int64)
    noise = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], size=rows) * _NOISE
    return Draw(y, binary(expit(odds + (1 - gain) * noise[:, 0])), binary(expit(odds + noise[:, 1])))
