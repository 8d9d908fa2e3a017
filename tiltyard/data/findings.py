"""What a check of a table has to say: one finding, one sentence, one cure."""

from typing import Literal

from tiltyard.project.model import Section

Gravity = Literal["error", "warning", "note"]


class Finding(Section):
    """One thing that a check noticed about a table.

    Attributes:
        code: Name of the check, such as `leakage` or `constant_target`.
        level: `error` stops a strict run, `warning` deserves a look, `note` is for information.
        blocking: Whether no honest model is possible; such an error stops a lax run too.
        column: Column it concerns; empty when it concerns the whole table.
        count: Rows (or columns, or classes) concerned.
        examples: A few values or row numbers, as text.
        sentence: What was found, with the figures.
        cure: What to do about it.
    """

    code: str
    level: Gravity
    blocking: bool = False
    column: str = ""
    count: int = 0
    examples: tuple[str, ...] = ()
    sentence: str
    cure: str = ""
