"""Worlds where the truth is known: rows whose features shift, models that answer them, and concepts that move."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from threadpoolctl import threadpool_limits

from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.terms import Labels

Floats = NDArray[np.float64]

COLUMNS = 6
_SHIFTED = 3


@dataclass(frozen=True)
class Draw:
    """Rows of a world.

    Attributes:
        x: Features, shape (n, 6).
        y: Class codes or values, shape (n,).
    """

    x: Floats
    y: Labels


@dataclass(frozen=True)
class World:
    """Where rows come from.

    Attributes:
        title: What is shown.
        score: Features → what the truth depends on, shape (n,); the second argument says how far the concept moved.
        answer: Draws the truth from that.
    """

    title: str
    score: Callable[[Floats, float], Floats]
    answer: Callable[[Floats, Floats, np.random.Generator], Labels]

    def draw(self, rng: np.random.Generator, rows: int, *, shift: float = 0.0, concept: float = 0.0) -> Draw:
        """Return fresh rows.

        Args:
            rng: Source of chance.
            rows: How many.
            shift: Standard deviations by which half of the features lie higher.
            concept: 0 for the truth that models learn, 1 for another one.
        """
        x = rng.normal(size=(rows, COLUMNS))
        x[:, :_SHIFTED] += shift
        return Draw(x, self.answer(self.score(x, concept), x, rng))


def _bent(x: Floats, concept: float) -> Floats:
    """Return a score with an interaction and two bends, which a line does not follow."""
    first = 1.2 - 2.4 * concept
    return first * x[:, 0] - x[:, 1] + 0.8 * x[:, 0] * x[:, 2] + 0.7 * np.sin(2 * x[:, 3]) + 0.5 * (x[:, 4] ** 2 - 1)


def _one_of_two(score: Floats, _: Floats, rng: np.random.Generator) -> Labels:
    return (rng.random(len(score)) < expit(score)).astype(np.int64)


def _one_of_three(score: Floats, x: Floats, rng: np.random.Generator) -> Labels:
    scores = np.column_stack([np.zeros(len(score)), score, x[:, 5] - 0.5 * x[:, 1]])
    return np.asarray((scores + rng.gumbel(size=scores.shape)).argmax(axis=1), dtype=np.int64)


def _value(score: Floats, x: Floats, rng: np.random.Generator) -> Labels:
    """Return values whose noise grows with a feature that shifts."""
    return score + rng.normal(size=len(score)) * (0.5 + 0.5 * expit(x[:, 0]))


TWO = World("two classes", _bent, _one_of_two)
THREE = World("three classes", _bent, _one_of_three)
VALUE = World("a value", _bent, _value)

Model = Callable[[Floats], Predictions]


def learned(world: World, kind: str, rng: np.random.Generator, rows: int = 4_000) -> Model:
    """Return a model fitted on fresh rows of a world.

    Args:
        world: Which.
        kind: `line`: too simple for the world. `trees`: follows it. `sure`: trees with doubled log odds.
        rng: Source of chance.
        rows: Rows to learn from.
    """
    draw, seed = world.draw(rng, rows), int(rng.integers(2**31))
    with threadpool_limits(1):
        if world is VALUE:
            boosted: Any = HistGradientBoostingRegressor(max_iter=60, early_stopping=False, random_state=seed)
            values = (LinearRegression() if kind == "line" else boosted).fit(draw.x, draw.y)
            return lambda x: Predictions(values=np.asarray(values.predict(x), dtype=np.float64))
        boosted = HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=seed)
        classes = (LogisticRegression(max_iter=1_000) if kind == "line" else boosted).fit(draw.x, draw.y)

    def predict(x: Floats) -> Predictions:
        chances = np.asarray(classes.predict_proba(x), dtype=np.float64)
        if kind == "sure":
            chances = chances**2 / (chances**2).sum(axis=1, keepdims=True)
        return Predictions(probabilities=chances)

    return predict
