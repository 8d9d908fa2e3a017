"""Two versions on the same rows: what the log says one of them answered, and what the other one answers to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.runtime import Runtime
from tiltyard.data.contract import Contract, Kind, Level
from tiltyard.data.rows import column_array
from tiltyard.evaluation.evidence import PairedCounts

Rows = Sequence[Sequence[Any]]


def columns_of(rows: Rows, contract: Contract) -> dict[str, NDArray[Any]]:
    """Return logged rows as the columns that a runtime reads.

    Args:
        rows: Typed values, one list a row, in the order of the contract's features.
        contract: Of the version that answered them.
    """
    return {
        column.name: column_array(column.kind, [_logged(column.kind, row[place]) for row in rows])
        for place, column in enumerate(contract.features)
    }


def answers_to(runtime: Runtime, columns: dict[str, NDArray[Any]], rows: int) -> NDArray[np.float64]:
    """Return what a version answers to columns of another one's request; what it needs beyond them is missing.

    Args:
        runtime: The version.
        columns: As read for the other version.
        rows: How many.

    Returns:
        Probabilities, shape (rows, classes), or values, shape (rows,).
    """
    asked = {
        column.name: columns.get(column.name, column_array(column.kind, [None] * rows))
        for column in runtime.contract.features
    }
    return runtime.predict(asked).array


def logged_answers(answers: Sequence[float], probabilities: Rows | None) -> NDArray[np.float64]:
    """Return what the log says a version answered, in the shape of `answers_to`."""
    return np.asarray(answers if probabilities is None else probabilities, dtype=np.float64)


def in_order(answers: NDArray[np.float64], classes: Sequence[Level], wanted: Sequence[Level]) -> NDArray[np.float64]:
    """Return answers with their classes in another version's order.

    Raises:
        ValueError: The versions do not have the same classes.
    """
    if tuple(classes) == tuple(wanted):
        return answers
    if set(classes) != set(wanted):
        raise ValueError("the versions do not have the same classes")
    return answers[:, [list(classes).index(level) for level in wanted]]


def compare(champion: NDArray[np.float64], candidate: NDArray[np.float64]) -> PairedCounts:
    """Return the differences of two versions' answers to the same rows, all of them finite.

    Args:
        champion: Probabilities, shape (n, classes), or values, shape (n,).
        candidate: The same shape, classes in the same order.
    """
    differences = _differences(champion, candidate)
    values = champion if champion.ndim == 1 else np.zeros(0)
    return PairedCounts(
        count=len(differences),
        total=float(differences.sum()),
        squares=float(np.square(differences).sum()),
        largest=float(np.abs(differences).max(initial=0.0)),
        champion_total=float(values.sum()),
        champion_squares=float(np.square(values).sum()),
    )


def _differences(champion: NDArray[np.float64], candidate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return candidate minus champion: values, probabilities of the second of two classes, or half the distance."""
    if champion.ndim == 1:
        return candidate - champion
    if champion.shape[1] == 2:
        return np.asarray(candidate[:, 1] - champion[:, 1])
    return np.asarray(np.abs(candidate - champion).sum(axis=1) / 2)


def _logged(kind: Kind, value: Any) -> Any:
    """Return a value of the log as it was when it was typed."""
    if kind is Kind.TIME and isinstance(value, str):
        return np.datetime64(value.removesuffix("Z").removesuffix("+00:00"), "us")
    return value
