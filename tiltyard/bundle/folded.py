"""A linear model over the dense view, folded to one term a column: what it answers without running its graph.

To run a graph for one row costs ten times what the sum of a few terms does. A bundle's graph carries the folded form as
a note (`build_graph` writes it), and both are held to the fitted model's answers, at the build and whenever the bundle
is loaded. A row is answered alone as among others, to the last bit.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
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
        self._intercept = folded.intercept
        self._is_probability = folded.answer == "probability"
        self._blocks: tuple[_Block, ...] = (_Numbers(folded), _Levels(folded))

    def predict(self, matrix: NDArray[np.float32]) -> Predictions:
        """Answer for an encoded table, float32, shape (n, terms)."""
        totals = np.full(len(matrix), self._intercept)
        for block in self._blocks:
            for part in block.parts(matrix.T):
                totals += part
        if not self._is_probability:
            return Predictions(values=totals)
        pairs = np.empty((len(totals), 2))
        pairs[:, 1] = list(map(logistic, totals.tolist()))
        pairs[:, 0] = 1.0 - pairs[:, 1]
        return Predictions(probabilities=pairs)

    def predict_one(self, cells: Sequence[float]) -> float | tuple[float, float]:
        """Answer for one encoded row, as `predict` does, by Python alone: a value, or both probabilities.

        Args:
            cells: Numbers that float32 holds.
        """
        total = self._intercept
        for block in self._blocks:
            total = block.add(total, cells)
        if not self._is_probability:
            return total
        share = logistic(total)
        return 1.0 - share, share


class _Block(ABC):
    """All terms of one kind. A row alone is answered as among others, to the last bit."""

    @abstractmethod
    def parts(self, columns: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each term adds in each row, shape (terms of the kind, n).

        Args:
            columns: The table by columns, shape (terms, n).
        """

    @abstractmethod
    def add(self, total: float, cells: Sequence[float]) -> float:
        """Add the terms of one row to a total, one after the other."""


class _Numbers(_Block):
    """The terms of numbers."""

    def __init__(self, folded: Folded) -> None:
        terms = [(at, term) for at, term in enumerate(folded.terms) if isinstance(term, NumberTerm)]
        self._terms = [(at, one.mean, one.scale, one.weight, one.skewed, one.missing) for at, one in terms]
        self._places = [at for at, _ in terms]
        self._mean = np.array([[term.mean] for _, term in terms]).reshape(-1, 1)
        self._scale = np.array([[term.scale] for _, term in terms]).reshape(-1, 1)
        self._weight = np.array([[term.weight] for _, term in terms]).reshape(-1, 1)
        self._missing = np.array([[term.missing] for _, term in terms]).reshape(-1, 1)
        self._skewed = [position for position, (_, term) in enumerate(terms) if term.skewed]

    def parts(self, columns: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each number adds."""
        parts = columns[self._places].astype(np.float64)
        for position in self._skewed:
            parts[position] = list(map(signed_log, parts[position].tolist()))
        parts -= self._mean
        parts /= self._scale
        np.minimum(parts, CLIP, out=parts)
        np.maximum(parts, -CLIP, out=parts)
        parts *= self._weight
        np.copyto(parts, self._missing, where=np.isnan(parts))
        return parts

    def add(self, total: float, cells: Sequence[float]) -> float:
        """Add the numbers of one row."""
        for at, mean, scale, weight, skewed, missing in self._terms:
            cell = cells[at]
            if cell != cell:  # noqa: PLR0124  # NaN
                total += missing
                continue
            scaled = ((signed_log(cell) if skewed else cell) - mean) / scale
            total += weight * (scaled if -CLIP <= scaled <= CLIP else math.copysign(CLIP, scaled))
        return total


class _Levels(_Block):
    """The terms of categories."""

    def __init__(self, folded: Folded) -> None:
        terms = [(at, term) for at, term in enumerate(folded.terms) if isinstance(term, LevelTerm)]
        self._terms = [(at, dict(enumerate(term.weights)), term.missing) for at, term in terms]
        self._places = [at for at, _ in terms]
        self._most = max((len(term.weights) for _, term in terms), default=0)
        self._tables = np.zeros((len(terms), self._most + 2))
        for table, (_, term) in zip(self._tables, terms, strict=True):
            table[: len(term.weights)] = term.weights
            table[-1] = term.missing
        self._starts = np.arange(len(terms)).reshape(-1, 1) * (self._most + 2)

    def parts(self, columns: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each category adds; the last two entries of a table are for unknown and missing levels."""
        codes = columns[self._places]
        is_missing = np.isnan(codes)
        codes[~((codes >= 0) & (codes < self._most))] = self._most
        codes[is_missing] = self._most + 1
        return self._tables.take(codes.astype(np.intp) + self._starts)

    def add(self, total: float, cells: Sequence[float]) -> float:
        """Add the categories of one row."""
        for at, weights, missing in self._terms:
            code = cells[at]
            total += missing if code != code else weights.get(code, 0.0)  # type: ignore[call-overload]  # noqa: PLR0124  # NaN; a whole float finds its integer
        return total


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
