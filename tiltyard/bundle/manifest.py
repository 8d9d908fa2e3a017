"""The manifest of a bundle, and the only door through which a bundle's files are read.

A bundle is five files of fixed names. Nothing that a bundle says is used as a path: the manifest may name exactly
these files, and the folder may hold exactly these files, each a regular one whose sha256 is the manifest's.
"""

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from tiltyard.data.contract import Level
from tiltyard.errors import BundleError
from tiltyard.project.metrics import Task
from tiltyard.project.section import Section

MANIFEST = "manifest.json"
CONTRACT = "contract.json"
ENCODER = "encoder.json"
GOLDEN = "golden.json"
GRAPH = "model.onnx"
FILES = (CONTRACT, ENCODER, GOLDEN, GRAPH)

LARGEST_FILE = {MANIFEST: 2**20, CONTRACT: 2**26, ENCODER: 2**26, GOLDEN: 2**26, GRAPH: 2**30}
"""Bytes of each file at most; a larger one is not read."""

_MOST = 2**53
_REBUILD = "Build or download the bundle again."

S = TypeVar("S", bound=Section)


class Parity(Section):
    """How well the graph agrees with the fitted model.

    Attributes:
        rows: Rows compared: the whole test set and the golden rows.
        max_difference: Largest |graph - model| / max(1, |model|) over all rows and outputs.
        tolerance: What was allowed.
    """

    rows: Annotated[int, Field(ge=1, le=_MOST)]
    max_difference: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Manifest(Section):
    """What a bundle is, and how to tell that it is still the same.

    Attributes:
        layout: Version of the bundle's layout.
        project: Name of the project and of its registered model.
        task: What is predicted.
        classes: Classes in the order of the probabilities, the positive class last; empty for regression.
        threshold: Decision threshold of the positive class.
        family: Family of the model.
        versions: Versions of Python and of the libraries that built it.
        files: sha256 of every other file, by name.
        parity: Agreement of graph and fitted model.
        latency_ms: Median time of one row at building, milliseconds.
        size_bytes: Size of the other files together.
        created: When it was built, UTC.
    """

    layout: Literal[1] = 1
    project: str
    task: Task
    classes: tuple[Level, ...] = ()
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    family: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
    parity: Parity
    latency_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    size_bytes: Annotated[int, Field(ge=0, le=_MOST)]
    created: datetime

    @field_validator("files")
    @classmethod
    def _exactly_the_files(cls, files: dict[str, str]) -> dict[str, str]:
        for name in sorted(set(files) ^ set(FILES)):
            raise ValueError(f"`{name}` is {'not a file of a bundle' if name in files else 'missing'}")
        return files

    @model_validator(mode="after")
    def _classes_fit_the_task(self) -> Self:
        least = {Task.BINARY: 2, Task.MULTICLASS: 2, Task.REGRESSION: 0}[self.task]
        if len(self.classes) < least or (self.task is not Task.MULTICLASS and len(self.classes) > least):
            raise ValueError(f"a {self.task} task cannot have {len(self.classes)} classes")
        return self

    @property
    def digest(self) -> str:
        """sha256 of everything that decides about answers: equal for equal models, whenever and wherever built."""
        content = self.model_dump_json(include={"layout", "project", "task", "classes", "threshold", "files"})
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class BundleFiles:
    """A bundle's content as verified bytes: what was hashed is what is used.

    Attributes:
        manifest: The manifest.
        contents: Content of every other file, by name.
    """

    manifest: Manifest
    contents: dict[str, bytes]


def read_bundle(folder: Path) -> BundleFiles:
    """Read and verify every file of a bundle.

    Args:
        folder: The bundle.

    Raises:
        BundleError: A file is absent, extra, a link, oversized, damaged or not what it claims to be; names it.
    """
    _refuse_other_entries(folder)
    manifest = read_manifest(folder)
    contents = {name: _read(folder, name) for name in FILES}
    for name, content in contents.items():
        if sha256(content) != manifest.files[name]:
            raise BundleError(
                f"`{name}` is not the file the manifest speaks of: its sha256 is {sha256(content)[:12]}…,"
                f" not {manifest.files[name][:12]}…",
                where=str(folder),
                cure=_REBUILD,
            )
    return BundleFiles(manifest, contents)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest alone, for facts about a bundle that is not about to be run.

    Raises:
        BundleError: There is none, or it is not a manifest.
    """
    content, where = _read(folder, MANIFEST), str(folder / MANIFEST)
    manifest = parse_section(Manifest, content, where=where)
    try:
        json.loads(content, object_pairs_hook=_refuse_twins)
    except ValueError as error:
        raise BundleError(f"not a valid manifest: {error}", where=where, cure=_REBUILD) from error
    return manifest


def _refuse_twins(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object that names a key twice: who reads it decides which of the two counts."""
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"`{name}` is there twice")


def parse_section(model: type[S], content: bytes, *, where: str) -> S:
    """Validate JSON from a bundle.

    Args:
        model: The record to build.
        content: UTF-8 JSON.
        where: Name of the file, for the error.

    Raises:
        BundleError: Names the first key that is wrong.
    """
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        at = f" at `{key}`" if key else ""
        raise BundleError(
            f"not a valid {model.__name__.lower()}{at}: {problem['msg']}", where=where, cure=_REBUILD
        ) from error


def sha256(content: bytes) -> str:
    """Return the sha256 of some bytes in hex.

    Example:
        >>> sha256(b"")[:12]
        'e3b0c44298fc'
    """
    return hashlib.sha256(content).hexdigest()


def _refuse_other_entries(folder: Path) -> None:
    """Refuse a folder that holds anything but the five files."""
    try:
        names = {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise BundleError(f"cannot be read as a bundle ({error.strerror})", where=str(folder), cure=_REBUILD) from error
    for name in sorted(names - {MANIFEST, *FILES}):
        raise BundleError(f"holds `{name}`, which is not a file of a bundle", where=str(folder), cure="Remove it.")
    for name in (MANIFEST, *FILES):
        if name not in names:
            raise BundleError(f"`{name}` is missing", where=str(folder), cure=_REBUILD)


def _read(folder: Path, name: str) -> bytes:
    """Read one file of a fixed name; links, devices and oversized files are refused without being followed or read."""
    path = folder / name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        what = "is a link" if path.is_symlink() else f"cannot be read ({error.strerror})"
        raise BundleError(f"`{name}` {what}", where=str(folder), cure=_REBUILD) from error
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        raise BundleError(f"`{name}` is not a regular file", where=str(folder), cure=_REBUILD)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(LARGEST_FILE[name] + 1) if state.st_size <= LARGEST_FILE[name] else None
    if content is None or len(content) > LARGEST_FILE[name]:
        raise BundleError(
            f"`{name}` has {state.st_size:,} bytes; at most {LARGEST_FILE[name]:,} are read",
            where=str(folder),
            cure="Train a smaller model.",
        )
    return content
