"""A linear model over the dense view, folded to one term a column: what it answers without running its graph.

To run a graph for one row costs ten times what the sum of a few terms does. A bundle's graph carries the folded form as
a note (`build_graph` writes it), and both are held to the fitted model's answers, at the build and whenever the bundle
is loaded. A row is answered alone as among others, to the last bit.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tiltyard.bundle.model import Predictions
from tiltyard.project.section import Section

NOTE = "tiltyard.folded"
"""Key of the form in the metadata of a graph."""

CLIP = 100.0
"""As in `tiltyard.bundle.transforms`, which a worker does not import."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Term = Callable[[float], float]


class NumberTerm(Section):
    """What a number adds: weight · clip((s(x) - mean) / scale, ±100), where s is the signed logarithm or nothing.

    Attributes:
        kind: Tells the terms apart.
        mean: What is taken off.
        scale: What it is divided by.
        weight: Of the model.
        skewed: Whether it is seen through sign(x)·log(1+|x|).
        missing: What is added instead when it is missing.
    """

    kind: Literal["number"] = "number"
    mean: Finite
    scale: Annotated[float, Field(allow_inf_nan=False, gt=0)]
    weight: Finite
    skewed: bool
    missing: Finite

    def term(self) -> Term:
        """Return the term as a function of a cell."""
        mean, scale, weight, missing, skewed = self.mean, self.scale, self.weight, self.missing, self.skewed

        def of(cell: float) -> float:
            if cell != cell:  # noqa: PLR0124  # NaN
                return missing
            if skewed:
                cell = signed_log(cell)
            scaled = (cell - mean) / scale
            return weight * (scaled if -CLIP <= scaled <= CLIP else math.copysign(CLIP, scaled))

        return of


class LevelTerm(Section):
    """What a category adds: a weight a level.

    Attributes:
        kind: Tells the terms apart.
        weights: By code; codes beyond, and unknown levels, add nothing.
        missing: What is added when it is missing.
    """

    kind: Literal["level"] = "level"
    weights: tuple[Finite, ...]
    missing: Finite

    def term(self) -> Term:
        """Return the term as a function of a cell."""
        weights, missing = {float(code): weight for code, weight in enumerate(self.weights)}, self.missing
        find = weights.get

        def of(cell: float) -> float:
            return missing if cell != cell else find(cell, 0.0)  # noqa: PLR0124  # NaN

        return of


class Folded(Section):
    """The folded form.

    Attributes:
        terms: One a column of the matrix.
        intercept: Of the model.
        answer: The positive class's probability by the logistic function, or the sum itself.
    """

    terms: tuple[Annotated[NumberTerm | LevelTerm, Field(discriminator="kind")], ...]
    intercept: Finite
    answer: Literal["probability", "value"]

    def scorer(self) -> "Scorer":
        """Return what answers by this form."""
        return Scorer(self)


class Scorer:
    """Answers by a folded form.

    Args:
        folded: The form.
    """

    def __init__(self, folded: Folded) -> None:
        self._terms = [term.term() for term in folded.terms]
        self._intercept = folded.intercept
        self._is_probability = folded.answer == "probability"
        self._blocks: tuple[_Block, ...] = (_Numbers(folded), _Levels(folded))

    def predict(self, matrix: NDArray[np.float32]) -> Predictions:
        """Answer for an encoded table, float32, shape (n, terms)."""
        sums = [self._sum(matrix.tolist()[0])] if len(matrix) == 1 else self._sums(matrix)
        if not self._is_probability:
            return Predictions(values=np.array(sums, dtype=np.float64))
        shares = [logistic(total) for total in sums]
        if len(shares) == 1:
            return Predictions(probabilities=np.array([(1.0 - shares[0], shares[0])]))
        pairs = np.empty((len(shares), 2))
        pairs[:, 1] = shares
        pairs[:, 0] = 1.0 - pairs[:, 1]
        return Predictions(probabilities=pairs)

    def _sum(self, row: Sequence[float]) -> float:
        """Return the sum of one row."""
        total = self._intercept
        for term, cell in zip(self._terms, row, strict=True):
            total += term(cell)
        return total

    def _sums(self, matrix: NDArray[np.float32]) -> list[float]:
        """Return the sums of several rows, added up in the order of `_sum`."""
        parts = np.empty((matrix.shape[1], len(matrix)))
        for block in self._blocks:
            parts[block.places] = block.parts(matrix).T
        totals = np.full(len(matrix), self._intercept)
        for part in parts:
            totals += part
        listed: list[float] = totals.tolist()
        return listed


class _Block(ABC):
    """All terms of one kind: several rows at once, each cell to the last bit as its term has it.

    Attributes:
        places: Their columns of the matrix.
    """

    places: list[int]

    @abstractmethod
    def parts(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each of its columns adds in each row, shape (n, places)."""


class _Numbers(_Block):
    """The terms of numbers."""

    def __init__(self, folded: Folded) -> None:
        terms = [(at, term) for at, term in enumerate(folded.terms) if isinstance(term, NumberTerm)]
        self.places = [at for at, _ in terms]
        self._mean = np.array([term.mean for _, term in terms])
        self._scale = np.array([term.scale for _, term in terms])
        self._weight = np.array([term.weight for _, term in terms])
        self._missing = np.array([term.missing for _, term in terms])
        self._skewed = [position for position, (_, term) in enumerate(terms) if term.skewed]

    def parts(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each number adds."""
        cells = matrix[:, self.places].astype(np.float64)
        for position in self._skewed:
            cells[:, position] = [signed_log(cell) for cell in cells[:, position].tolist()]
        parts = np.clip((cells - self._mean) / self._scale, -CLIP, CLIP) * self._weight
        return np.where(np.isnan(cells), self._missing, parts)


class _Levels(_Block):
    """The terms of categories."""

    def __init__(self, folded: Folded) -> None:
        terms = [(at, term) for at, term in enumerate(folded.terms) if isinstance(term, LevelTerm)]
        self.places = [at for at, _ in terms]
        self._most = max((len(term.weights) for _, term in terms), default=0)
        self._tables = np.zeros((len(terms), self._most + 2))
        for table, (_, term) in zip(self._tables, terms, strict=True):
            table[: len(term.weights)] = term.weights
            table[-1] = term.missing

    def parts(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each category adds; the last two entries of a table are for unknown and missing levels."""
        codes = matrix[:, self.places]
        known = np.where((codes >= 0) & (codes < self._most), codes, self._most)
        entries = np.where(np.isnan(codes), self._most + 1, known).astype(np.intp)
        return np.asarray(self._tables[np.arange(len(self.places)), entries])


def signed_log(cell: float) -> float:
    """Return sign(x)·log(1+|x|)."""
    return math.copysign(math.log(1.0 + abs(cell)), cell)


def logistic(total: float) -> float:
    """Return 1 / (1 + exp(-x)) without overflow.

    Example:
        >>> logistic(0.0), logistic(-1000.0), logistic(1000.0)
        (0.5, 0.0, 1.0)
    """
    if total >= 0.0:
        return 1.0 / (1.0 + math.exp(-total))
    grown = math.exp(total)
    return grown / (1.0 + grown)
