"""The columns of the prediction log that are watched: what they are by the contract, counts over them, their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tiltyard.bundle.model import Predictions
from tiltyard.data.coercion import arrow_column
from tiltyard.data.contract import Contract, Kind
from tiltyard.errors import DataError
from tiltyard.monitoring.sample import FEATURE, PREDICTION, PROBABILITY, ColumnSample, Sample
from tiltyard.predictions.columns import KIND_TYPES

_NOT_A_TIME = int(np.datetime64("NaT").astype(np.int64))


@dataclass(frozen=True)
class Logged:
    """One column of the log.

    Attributes:
        name: As in the log: `feature_<name>`, `prediction`, `probability_<class>`.
        kind: What its values are.
        levels: Levels that are not new; empty when there are none to be new.
        minimum: Least value that is not outside.
        maximum: Largest one.
        classes: Classes that a prediction is one of; empty for every other column.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    classes: tuple[Any, ...] = ()


def features_of(contract: Contract) -> tuple[Logged, ...]:
    """Return the features that the log has of a contract."""
    return tuple(
        Logged(f"{FEATURE}{column.name}", column.kind, column.levels, column.minimum, column.maximum)
        for column in contract.features
    )


def answers_of(contract: Contract) -> tuple[Logged, ...]:
    """Return the columns of answers that the log has of a contract: the prediction, and a probability a class."""
    if not contract.classes:
        return (Logged(PREDICTION, Kind.NUMBER),)
    names = tuple(str(label) for label in contract.classes)
    prediction = Logged(PREDICTION, Kind.CATEGORY, names, classes=contract.classes)
    return (prediction, *(Logged(f"{PROBABILITY}{name}", Kind.NUMBER) for name in names))


def typed(batch: pa.RecordBatch, columns: Sequence[Logged]) -> pa.RecordBatch:
    """Return the watched columns of a batch, each in the type of its kind; all missing where the batch has it not.

    Args:
        batch: Rows of the log.
        columns: The columns.

    Raises:
        DataError: A column is of another kind, as of a version with another contract.
    """
    names = set(batch.schema.names)
    arrays = [
        _typed(batch.column(column.name), column)
        if column.name in names
        else pa.nulls(batch.num_rows, KIND_TYPES[column.kind])
        for column in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, [column.name for column in columns])


def feature_arrays(frame: pd.DataFrame, contract: Contract) -> dict[str, Any]:
    """Return the features of a typed table as the log has them.

    Args:
        frame: The table, protected columns protected.
        contract: Its contract.
    """
    return {
        f"{FEATURE}{column.name}": pc.cast(arrow_column(frame[column.name]), KIND_TYPES[column.kind])
        for column in contract.features
    }


def answer_arrays(predictions: Predictions, contract: Contract, threshold: float) -> dict[str, Any]:
    """Return answers as a typed window of the log has them.

    Args:
        predictions: The answers, classes in the order of the contract.
        contract: The contract.
        threshold: Decision threshold of the positive class.
    """
    if predictions.probabilities is None:
        return {PREDICTION: pa.array(predictions.array, pa.float64())}
    names = [str(label) for label in contract.classes]
    chosen = pa.array(names, pa.string()).take(pa.array(predictions.labels(threshold)))
    chances = zip(names, predictions.probabilities.T, strict=True)
    return {PREDICTION: chosen} | {f"{PROBABILITY}{name}": pa.array(column) for name, column in chances}


@dataclass
class Tally:
    """Exact counts over rows, column by column.

    Attributes:
        columns: The columns.
        rows: Rows counted.
        missing: Values that are missing, by column.
        new: Levels that the contract does not know.
        outside: Values outside the range of the contract.
    """

    columns: Sequence[Logged]
    rows: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    new: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for counts in (self.missing, self.new, self.outside):
            counts.update({column.name: counts.get(column.name, 0) for column in self.columns})
        self._levels = {
            column.name: pa.array(column.levels, KIND_TYPES[column.kind]) for column in self.columns if column.levels
        }

    def add(self, batch: pa.RecordBatch) -> None:
        """Count typed rows."""
        self.rows += batch.num_rows
        for column in self.columns:
            array = batch.column(column.name)
            self.missing[column.name] += array.null_count
            if column.name in self._levels:
                self.new[column.name] += _count_new(array, self._levels[column.name])
            if column.minimum is not None or column.maximum is not None:
                self.outside[column.name] += _count_outside(array, column.minimum, column.maximum)


def sample_of(tally: Tally, drawn: pa.RecordBatch | None) -> Sample:
    """Return counts over all rows, and the values of those drawn.

    Args:
        tally: The counts.
        drawn: Typed rows; None for none.
    """
    columns: Mapping[str, ColumnSample] = {
        column.name: ColumnSample(
            kind=column.kind,
            values=values_of(pa.nulls(0, KIND_TYPES[column.kind]) if drawn is None else drawn.column(column.name)),
            missing=tally.missing[column.name],
            new=tally.new[column.name],
            outside=tally.outside[column.name],
        )
        for column in tally.columns
    }
    return Sample(rows=tally.rows, sampled=0 if drawn is None else drawn.num_rows, columns=columns)


def values_of(array: Any) -> NDArray[Any]:
    """Return a typed Arrow array as numpy has it.

    Returns:
        float64 with NaN for numbers, integers and booleans; object with None for texts; datetime64[us] with NaT.

    Example:
        >>> values_of(pa.array([True, None])).tolist()
        [1.0, nan]
    """
    if pa.types.is_timestamp(array.type):
        moments = pc.cast(array, pa.int64()).fill_null(_NOT_A_TIME)
        return np.asarray(moments.to_numpy(zero_copy_only=False)).view("datetime64[us]")
    if pa.types.is_string(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False), dtype=object)
    numbers = pc.cast(array, pa.float64(), safe=False)
    return np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)


def _typed(array: Any, column: Logged) -> Any:
    """Return a column in the type of its kind."""
    kind = KIND_TYPES[column.kind]
    try:
        if column.classes:
            return _class_names(array, column)
        return array if array.type == kind else pc.cast(array, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        raise DataError(
            f"column `{column.name}` of the prediction log holds {array.type}, where the contract says {column.kind}",
            cure="Look at the predictions of one version at a time, with its own contract.",
        ) from None


def _class_names(array: Any, column: Logged) -> Any:
    """Return predicted classes as texts, as the names of their probabilities have them."""
    if pa.types.is_string(array.type):
        return array
    places = pc.index_in(array, value_set=pa.array(column.classes).cast(array.type))
    return pa.array(column.levels, pa.string()).take(places)


def _count_new(array: Any, levels: Any) -> int:
    """Return how many values are there and are no level."""
    known = pc.sum(pc.is_in(array, value_set=levels)).as_py() or 0
    return int(len(array) - array.null_count - known)


def _count_outside(array: Any, minimum: float | None, maximum: float | None) -> int:
    """Return how many values lie outside a range; most batches have none, which their ends tell."""
    ends = pc.min_max(array).as_py()
    if ends["min"] is None:
        return 0
    below = minimum is not None and not ends["min"] >= minimum
    above = maximum is not None and not ends["max"] <= maximum
    count = 0
    if below:
        count += pc.sum(pc.less(array, minimum)).as_py() or 0
    if above:
        count += pc.sum(pc.greater(array, maximum)).as_py() or 0
    return count
