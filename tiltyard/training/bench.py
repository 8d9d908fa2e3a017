"""The workbench of a search: its arrays on disk, shared by all workers, and one fit on one fold."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.errors import TrainingError
from tiltyard.evaluation.metrics import score
from tiltyard.training.custom import load_own
from tiltyard.training.families import FAMILIES, facts_of
from tiltyard.training.family import Facts, Family, Rows, View, make_view
from tiltyard.training.problem import Problem
from tiltyard.training.space import Scalar


@dataclass(frozen=True)
class Job:
    """One fit on one fold.

    Attributes:
        trial: Number of the trial it belongs to.
        family: Name of its family.
        parameters: Hyper-parameters.
        fold: Which fold.
        rows: Training rows to use at most; all when None.
    """

    trial: int
    family: str
    parameters: dict[str, Scalar]
    fold: int
    rows: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        job: The job.
        score: Metric on the fold; None when it failed.
        iterations: Boosting iterations or epochs worth doing; None for other families.
        rows: Training rows used.
        seconds: Time it took.
        error: Why it failed; empty when it did not.
    """

    job: Job
    score: float | None
    iterations: int | None
    rows: int
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class Bench:
    """The arrays of a search in a folder, to be opened by any process.

    The training rows of a fold stand in random order, so that the first n of them are a fair sample. A view of a
    fold is made by the first worker that needs it, fitted on the fold's training rows, and memory-mapped by all.

    Attributes:
        folder: Where the arrays are.
        facts: About the data; its `rows` are set per fit.
        metric: What a fit is scored by.
        code_folder: Folder of the project's own code.
    """

    folder: Path
    facts: Facts
    metric: str
    code_folder: Path | None
    _open: dict[tuple[int, View], tuple[Rows, Rows]] = field(default_factory=dict, compare=False)

    @classmethod
    def write(cls, problem: Problem, folder: Path) -> "Bench":
        """Write a problem's arrays.

        Args:
            problem: The problem.
            folder: An empty folder.

        Raises:
            TrainingError: The folder cannot be written, for example because the disk is full.
        """
        shuffle = np.random.default_rng(problem.seed)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number, (train, valid) in enumerate(problem.folds):
                mixed = shuffle.permutation(train)
                for part, rows in (("train", mixed), ("valid", valid)):
                    _save(folder / f"{number}-raw-{part}.npy", problem.matrix[rows])
                    _save(folder / f"{number}-y-{part}.npy", problem.y[rows])
        except OSError as error:
            raise TrainingError(
                f"the arrays of the search cannot be written ({error.strerror})",
                where=str(folder),
                cure="Free some disk.",
            ) from error
        return cls(folder, facts_of(problem, 0), problem.metric, problem.code_folder)

    def run(self, job: Job) -> Outcome:
        """Do a job; a failing estimator becomes an outcome, not an error."""
        started = time.perf_counter()
        try:
            family = self.family(job.family)
            train, valid = self.fold(job.fold, family.view)
            started = time.perf_counter()  # making a view, once per fold, is no cost of the fit
            train = (train[0][: job.rows], train[1][: job.rows])
            facts = self.facts.with_rows(len(train[1]))
            answers, iterations = family.fit_until(family.build(job.parameters, facts), train, valid, facts)
            value = score(self.metric, valid[1], answers)
        except Exception as error:  # noqa: BLE001  # an estimator may raise anything; the search goes on without it
            return Outcome(job, None, None, 0, time.perf_counter() - started, f"{type(error).__name__}: {error}")
        seconds = time.perf_counter() - started
        if not np.isfinite(value):
            return Outcome(job, None, None, len(train[1]), seconds, f"{self.metric} is not defined on fold {job.fold}")
        return Outcome(job, value, iterations, len(train[1]), seconds)

    def family(self, name: str) -> Family:
        """Return a family by name."""
        return load_own(name, self.code_folder) if ":" in name else FAMILIES[name]

    def fold(self, number: int, view: View) -> tuple[Rows, Rows]:
        """Return the training and scoring rows of a fold, memory-mapped."""
        if (number, view) not in self._open:
            self._open[number, view] = self._load(number, view)
        return self._open[number, view]

    def _load(self, number: int, view: View) -> tuple[Rows, Rows]:
        if view != "raw" and not self._file(number, view, "valid").exists():
            self._make(number, view)
        parts = [
            (np.load(self._file(number, view, part), mmap_mode="r"), np.load(self._file(number, "y", part)))
            for part in ("train", "valid")
        ]
        return parts[0], parts[1]

    def _make(self, number: int, view: Any) -> None:
        """Fit a view on a fold's training rows and write both parts of it, the scoring rows last."""
        (train, _), (valid, _) = self.fold(number, "raw")
        fitted = make_view(view, self.facts.levels).fit(train)
        _save(self._file(number, view, "train"), fitted.transform(train))
        _save(self._file(number, view, "valid"), fitted.transform(valid))

    def _file(self, number: int, view: str, part: str) -> Path:
        return self.folder / f"{number}-{view}-{part}.npy"


def _save(file: Path, array: NDArray[Any]) -> None:
    """Write an array so that other processes see it whole or not at all."""
    unfinished = file.with_suffix(f".{os.getpid()}.tmp")
    with unfinished.open("wb") as stream:
        np.save(stream, array)
    unfinished.replace(file)
