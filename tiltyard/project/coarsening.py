"""One way to protect a value, which project file and data contract both name."""

from typing import Annotated, Literal

from pydantic import Field

from tiltyard.project.section import Section


class Coarsen(Section):
    """Replace a value by the coarser group it falls into."""

    coarsen: Annotated[float, Field(gt=0)] | Literal["year", "month", "day"]
    """Width of the bands of a number, or the unit a time is cut to."""
