"""How far back a table is learnt from: rows older than `data.history` before the newest are left out."""

from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.data.contract import Contract
from tiltyard.project.model import Project


class Recent(NamedTuple):
    """Which of n rows are young enough to be learnt from.

    Attributes:
        rows: Bool, shape (n,); False where there is no time.
        span: How far back, as the project file says it.
        newest: Time of the newest row that has a target; naive, in UTC.
    """

    rows: NDArray[np.bool_]
    span: str
    newest: datetime

    @property
    def reason(self) -> str:
        """Why the others are left out, as a clause."""
        form = "%Y-%m-%d" if self.span.rstrip().endswith(("d", "w")) else "%Y-%m-%d %H:%M"
        return f"they are older than {self.span} before the newest ({self.newest:{form}})"

    @property
    def cure(self) -> str:
        """What to do where too few rows are left."""
        kept = f"{self.rows.sum():,} of {len(self.rows):,} rows"
        return f"`data.history: {self.span}` leaves {kept}; a longer one leaves more."


def recent(frame: pd.DataFrame, contract: Contract, project: Project) -> Recent | None:
    """Return which rows of a table are young enough; None where all are, or the project asks for no age.

    Args:
        frame: Typed frame of n rows.
        contract: Its contract in use; the time column holds times.
        project: Its `data.history` says how far back.
    """
    span, column = project.data.reach, project.data.time
    if span is None or column is None:
        return None
    times = frame[column].to_numpy(dtype="datetime64[us]")
    known = frame[contract.target.name].notna().to_numpy() & ~np.isnat(times)
    if not known.any():
        return None
    newest = times[known].max()
    rows = young(times, newest, span)
    return None if rows.all() else Recent(rows, str(project.data.history), newest.item())


def young(times: NDArray[np.datetime64], newest: np.datetime64, span: timedelta) -> NDArray[np.bool_]:
    """Tell which times are no more than a stretch before the newest.

    Args:
        times: Shape (n,); NaT where there is none.
        newest: The newest that counts; what is later still is young too.
        span: The stretch.

    Returns:
        Bool, shape (n,); False for NaT.

    Example:
        >>> days = np.array(["2026-07-01", "2026-07-31", "NaT", "2026-08-01"], dtype="datetime64[us]")
        >>> young(days, days[-1], timedelta(days=1)).tolist()
        [False, True, False, True]
    """
    return np.asarray(times >= newest - np.timedelta64(span), dtype=np.bool_)
