"""`protect:` of the project file on a whole table, before anything else sees it: a keyed hash, or a coarser group.

It gives value by value what `tiltyard.data.protection` gives. A column that is to be dropped is not in the contract in
use, and so never typed.
"""

from typing import Any

import numpy as np
import pandas as pd

from tiltyard.data.coercion import EXAMPLES, arrow_column
from tiltyard.data.contract import Column, Contract
from tiltyard.data.origin import place_of
from tiltyard.data.protection import Change, changes_of, raw_column
from tiltyard.data.values import Value, cure_for, expected
from tiltyard.errors import DataError


def protect_frame(frame: pd.DataFrame, contract: Contract, key: str | None) -> pd.DataFrame:
    """Protect the columns of a raw table.

    Args:
        frame: Raw frame; not changed.
        contract: The contract in use; says what to do, and how numbers, times and missing values are written.
        key: Key of the keyed hashes.

    Returns:
        A new frame with hashes and coarser values in the protected columns.

    Raises:
        ProjectError: A column is hashed, and the key is missing or another than the contract was made with.
        DataError: A value of a protected column cannot be read; names the place and never the value.
    """
    protected = frame.copy(deep=False)
    for name, change in changes_of(contract, contract.columns, key).items():
        if name in frame.columns:
            protected[name] = _changed(frame[name], change, raw_column(contract.column(name)), frame)
    return protected


def _changed(series: "pd.Series[Any]", change: Change, column: Column, frame: pd.DataFrame) -> "pd.Series[Any]":
    """Change a raw column, each distinct value once where values are of one type."""
    array = arrow_column(series)
    values = list(series) if array is None else array.dictionary_encode().dictionary.to_pylist()
    codes = np.arange(len(series)) if array is None else _row_codes(array)
    changed: list[Value] = []
    for code, value in enumerate(values):
        try:
            changed.append(change(value))
        except ValueError as error:
            rows = np.flatnonzero(codes == code)[:EXAMPLES]
            places = ", ".join(place_of(frame, int(row), "the table") for row in rows)
            raise _unreadable(column, places, str(error)) from None
    result = np.array([*changed, None], dtype=object)[codes]
    return pd.Series(result, index=series.index, dtype=object)


def _row_codes(array: Any) -> Any:
    """Return the code of each row's value; -1, the last, for missing."""
    return array.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)


def _unreadable(column: Column, places: str, hint: str) -> DataError:
    what = f"a value of the protected column `{column.name}` is not {expected(column)}"
    return DataError(what, where=places, cure=cure_for(column, hint))
