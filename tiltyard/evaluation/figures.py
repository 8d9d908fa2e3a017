"""Figures of a check as a dashboard reads them: written after each check, shown by every model server with its own.

monitoring/{model}/latest.json
"""

from typing import Annotated

from pydantic import Field

from tiltyard.project.section import Section


class Sample(Section):
    """One number.

    Attributes:
        labels: Of what it is: name of a label and its value.
        value: The number.
    """

    labels: dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], str]
    value: Annotated[float, Field(allow_inf_nan=False)]


class Figure(Section):
    """A gauge.

    Attributes:
        name: As Prometheus knows it, after `tiltyard_`.
        help: What it is, in one line.
        samples: Its numbers.
    """

    name: Annotated[str, Field(pattern=r"^check_[a-z_]+$")]
    help: Annotated[str, Field(pattern=r"^[^\n\\]+$")]
    samples: tuple[Sample, ...]


class Figures(Section):
    """All figures of the last check of a model.

    Attributes:
        figures: The figures; what a check could not tell is not among them.
    """

    figures: tuple[Figure, ...]


def figures_key(model: str) -> str:
    """Return where the figures of the last check lie in the object store.

    Example:
        >>> figures_key("churn")
        'monitoring/churn/latest.json'
    """
    return f"monitoring/{model}/latest.json"
