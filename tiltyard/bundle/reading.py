"""From the rows of a request to the matrix that a version is run on, with what was noticed on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.encoder import Encoder
from tiltyard.data.contract import Contract
from tiltyard.data.rows import rows_to_columns


@dataclass(frozen=True)
class Typed:
    """The rows of a request, typed and protected.

    Attributes:
        rows: How many.
        matrix: float32, shape (rows, features of the encoder).
        columns: Feature column → typed values (see `tiltyard.data.rows.TypedRows.columns`).
        unknown_levels: Category column → row numbers whose level the contract does not know.
        unexpected: Names that the contract does not know, sorted.
        outside: Numeric column → row numbers whose value is outside the contract's range.
    """

    rows: int
    matrix: NDArray[np.float32]
    columns: Mapping[str, NDArray[Any]]
    unknown_levels: Mapping[str, list[int]] = field(default_factory=dict)
    unexpected: tuple[str, ...] = ()
    outside: Mapping[str, list[int]] = field(default_factory=dict)


class Reader:
    """Reads requests for one version.

    Args:
        contract: Its contract.
        encoder: Its encoder.
        key: Key of the keyed hashes; needed where a feature is hashed.
    """

    def __init__(self, contract: Contract, encoder: Encoder, key: str | None = None) -> None:
        self._contract = contract
        self._encoder = encoder
        self._key = key

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features, in order."""
        return tuple(column.name for column in self._contract.features)

    def read(self, body: bytes, most_rows: int) -> Typed | None:  # noqa: ARG002
        """Read a body `{"rows": […]}` whose values are plain; None for one that has to be read with more care."""
        return None

    def type(self, rows: Sequence[Mapping[str, object]]) -> Typed:
        """Type rows with raw values.

        Raises:
            DataError: A value breaks the contract; names row and column.
        """
        typed = rows_to_columns(rows, self._contract, self._key)
        matrix = self._encoder.encode(typed.columns)
        return Typed(len(rows), matrix, typed.columns, typed.unknown_levels, typed.unexpected, typed.outside)

    def type_columns(self, columns: Mapping[str, Sequence[object]], rows: int) -> Typed:
        """Type columns of raw values, each of `rows` values.

        Raises:
            DataError: A value breaks the contract; names row and column.
        """
        names = list(columns)
        values = zip(*columns.values(), strict=True) if names else (() for _ in range(rows))
        return self.type([dict(zip(names, row, strict=True)) for row in values])
