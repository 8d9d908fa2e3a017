"""What all sections of the project file have in common: the strict base, and the types of their keys."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Scalar = str | int | float | bool
Share = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]

_LONGEST_PATH = 4096


def path_problem(path: str) -> str | None:
    """Say why no file can have a path; None when one can."""
    if not path.strip():
        return "the path is empty; name a file"
    if "\0" in path:
        return "the path holds a null character, which no file's name can"
    if len(path) > _LONGEST_PATH:
        return f"the path has {len(path)} characters, more than the {_LONGEST_PATH} that a path can have"
    return None


def _possible_path(path: str) -> str:
    problem = path_problem(path)
    if problem is not None:
        raise ValueError(problem)
    return path


PathText = Annotated[str, AfterValidator(_possible_path)]


class Section(BaseModel):
    """Base of all sections: immutable, strict, and unknown keys are errors.

    What a key means is written below it, see `tiltyard.project.meanings`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
