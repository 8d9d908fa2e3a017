"""Golden rows: real and hostile rows with the answers the fitted model gave, replayed wherever the bundle goes.

They are typed values, past the contract's door: a null where the contract allows none, an unseen category where it
refuses them, and numbers far outside of every range must still get the same answer from the graph as from the model.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.encoder import LARGEST, Encoder
from tiltyard.bundle.model import Columns
from tiltyard.data.contract import Kind
from tiltyard.project.section import Section

SAMPLED_ROWS = 32
HOSTILE_ROWS = 64
"""At most about this many rows of each hostile kind; in wider tables one row spoils several columns."""

_EXTREMES: Mapping[Kind, tuple[object, ...]] = {
    Kind.NUMBER: (LARGEST, -LARGEST, 0.0),
    Kind.INTEGER: (LARGEST, -LARGEST, 0.0),
    Kind.BOOLEAN: (0.0, 1.0),
    Kind.CATEGORY: ("an unseen level", "", "Ünsëen\u2028level"),
    Kind.TEXT: ("", "word " * 500, "Ünsëen\u2028text"),
    Kind.TIME: (np.datetime64("0001-01-01", "us"), np.datetime64("9999-12-31", "us")),
}

Cell = float | str | None


class Golden(Section):
    """Typed rows with expected answers; written to `golden.json`.

    Attributes:
        columns: One value per row and feature column, in JSON's terms: None for missing, times in ISO 8601.
        labels: What each row is: `test row`, `age missing`, `plan extreme`.
        expected: Per row the probabilities of the classes, or the one value.
    """

    columns: dict[str, tuple[Cell, ...]]
    labels: tuple[str, ...]
    expected: tuple[tuple[float, ...], ...]

    def table(self, encoder: Encoder) -> dict[str, NDArray[Any]]:
        """Return the rows as typed columns.

        Args:
            encoder: Says which columns there are, and of which kind.

        Raises:
            KeyError: A column is missing.
        """
        return {item.column: _to_array(self.columns[item.column], item.kind) for item in encoder.columns}

    @property
    def answers(self) -> NDArray[np.float64]:
        """The expected answers, shape (rows, classes) or (rows, 1)."""
        return np.array(self.expected, dtype=np.float64).reshape(len(self.labels), -1)


class GoldenRows:
    """Golden rows before they have answers.

    Attributes:
        columns: Typed columns.
        labels: What each row is.
    """

    def __init__(self, encoder: Encoder, columns: Columns) -> None:
        """Sample real rows and spoil copies of them.

        Args:
            encoder: Says which columns there are, and of which kind.
            columns: Typed real rows, at least one.
        """
        self._encoder = encoder
        rows = len(next(iter(columns.values())))
        spoiled = list(_spoilings(encoder))
        sampled = np.linspace(0, rows - 1, min(rows, SAMPLED_ROWS)).astype(np.int64)
        picked = np.concatenate([sampled, np.arange(len(spoiled)) % rows])
        self.labels = (*("test row" for _ in sampled), *(label for label, _ in spoiled))
        self.columns = {item.column: np.array(columns[item.column][picked]) for item in encoder.columns}
        for row, (_, cells) in enumerate(spoiled, start=len(sampled)):
            for column, value in cells.items():
                self.columns[column][row] = value

    def answered(self, answers: NDArray[np.float64]) -> Golden:
        """Return the rows with the model's answers, shape (rows,) or (rows, classes)."""
        return Golden(
            columns={item.column: _to_json(self.columns[item.column], item.kind) for item in self._encoder.columns},
            labels=self.labels,
            expected=tuple(map(tuple, answers.reshape(len(self.labels), -1).tolist())),
        )


def _spoilings(encoder: Encoder) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield label and spoiled cells of every hostile row."""
    kinds = {item.column: item.kind for item in encoder.columns}
    names = list(kinds)
    width = -(-len(names) // HOSTILE_ROWS)
    groups = [names[start : start + width] for start in range(0, len(names), width)]
    for group in [*groups, names]:
        yield _label(group, "missing"), {name: _missing(kinds[name]) for name in group}
    for turn in range(max(len(extremes) for extremes in _EXTREMES.values())):
        for group in [*groups, names]:
            yield _label(group, "extreme"), {name: _extreme(kinds[name], turn) for name in group}


def _label(group: list[str], what: str) -> str:
    return f"{group[0]} {what}" if len(group) == 1 else f"{group[0]} to {group[-1]} {what}"


def _missing(kind: Kind) -> object:
    if kind is Kind.TIME:
        return np.datetime64("NaT", "us")
    return None if kind in {Kind.CATEGORY, Kind.TEXT} else np.nan


def _extreme(kind: Kind, turn: int) -> object:
    return _EXTREMES[kind][turn % len(_EXTREMES[kind])]


def _to_json(values: NDArray[Any], kind: Kind) -> tuple[Cell, ...]:
    if kind is Kind.TIME:
        return tuple(None if np.isnat(value) else str(value) for value in values.astype("datetime64[us]"))
    if kind in {Kind.CATEGORY, Kind.TEXT}:
        return tuple(None if value is None else str(value) for value in values)
    return tuple(None if np.isnan(value) else float(value) for value in values)


def _to_array(cells: tuple[Cell, ...], kind: Kind) -> NDArray[Any]:
    if kind is Kind.TIME:
        return np.array(["NaT" if cell is None else str(cell) for cell in cells], dtype="datetime64[us]")
    if kind in {Kind.CATEGORY, Kind.TEXT}:
        return np.array(cells, dtype=object)
    return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
