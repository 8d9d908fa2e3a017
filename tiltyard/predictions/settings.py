"""How the prediction log is kept: a record that travels to the workers."""

from typing import Annotated, Literal

from pydantic import Field

from tiltyard.project.section import Section

MEBIBYTE = 1 << 20


class LogSettings(Section):
    """How the prediction log is kept.

    Attributes:
        durability: What an acknowledged prediction survives: `process` the death of every process, `disk` the loss of
            power as well, for the price of a wait for the disk, which requests share.
        when_full: What becomes of an answer that cannot be logged: `refuse` answers 503, `answer` sends it all the
            same and counts it.
        sample: Share of the requests that are logged, chosen by their ids.
        rotate_bytes: Length from which a segment is sealed.
        rotate_seconds: Age at which a segment is sealed, so that a quiet server ships what it has.
    """

    durability: Literal["process", "disk"] = "process"
    when_full: Literal["refuse", "answer"] = "refuse"
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    rotate_bytes: Annotated[int, Field(gt=0)] = 8 * MEBIBYTE
    rotate_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
