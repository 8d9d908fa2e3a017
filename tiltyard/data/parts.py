"""The parts of a split, and how a column of the table names them."""

from enum import IntEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.errors import DataError


class Part(IntEnum):
    """What a row is used for."""

    EXCLUDED = -1
    TRAIN = 0
    VALIDATION = 1
    CALIBRATION = 2
    TEST = 3


SPELLINGS = {
    "train": Part.TRAIN,
    "training": Part.TRAIN,
    "valid": Part.VALIDATION,
    "val": Part.VALIDATION,
    "validation": Part.VALIDATION,
    "dev": Part.VALIDATION,
    "calibration": Part.CALIBRATION,
    "test": Part.TEST,
    "testing": Part.TEST,
    "holdout": Part.TEST,
}
"""Words, in lower case, by which a column may name a part."""


def read_parts(values: pd.Series) -> NDArray[np.int8]:
    """Read a column that names the part of every row.

    Args:
        values: The column, shape (n,); words of `SPELLINGS` in any case. Its index numbers the rows from 0.

    Returns:
        Parts, int8, shape (n,).

    Raises:
        DataError: A value is missing or no part; names the column, the value, the row and the count.
    """
    words = values.astype("object").map(lambda value: str(value).strip().lower(), na_action="ignore")
    parts = words.map(SPELLINGS)
    wrong = values[parts.isna()]
    if len(wrong):
        shown = "missing" if pd.isna(wrong.iloc[0]) else f"`{wrong.iloc[0]}`"
        raise DataError(
            f"the part is {shown} in {len(wrong)} rows, first in row {wrong.index[0] + 1}",
            where=f"column `{values.name}`",
            cure="Name every row `train`, `validation`, `calibration` or `test`, or take `split.column` away.",
        )
    return parts.to_numpy(dtype=np.int8)
