"""The journal: every finished trial in an Optuna study on disk, so that a killed search goes on where it was."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from tiltyard.errors import TrainingError
from tiltyard.project.metrics import METRICS
from tiltyard.project.model import SearchSection
from tiltyard.training.problem import Problem, TrialRecord
from tiltyard.training.space import Choice, Real, Space

FILE = "search.log"
RECORD = "record"
FINISHED = "finished"

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "unfinished": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Journal:
    """The study of one search.

    A study belongs to one problem and one configuration; a search for another starts a study of its own in the same
    file. A search that is resumed may have another budget.

    Args:
        folder: Folder of the search; used by one process at a time.
        name: Name of the study (see `study_name`).
        metric: What trials are compared by.
        families: Names of the racing families.
    """

    def __init__(self, folder: Path, name: str, metric: str, families: Sequence[str]) -> None:
        file = folder / FILE
        _mend(file)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        direction: Literal["maximize", "minimize"] = "maximize" if METRICS[metric].greater_is_better else "minimize"
        self._families = list(families)
        self._study = optuna.create_study(
            study_name=name,
            storage=JournalStorage(JournalFileBackend(str(file))),
            direction=direction,
            load_if_exists=True,
        )

    def records(self) -> dict[int, TrialRecord]:
        """Return the finished trials by number."""
        found = [TrialRecord.model_validate_json(trial.user_attrs[RECORD]) for trial in self._study.get_trials(False)]
        return {record.number: record for record in sorted(found, key=lambda one: one.number)}

    def append(self, record: TrialRecord, space: Space) -> None:
        """Write a finished trial; once this returns it survives a crash.

        Raises:
            TrainingError: The file cannot be written, for example because the disk is full.
        """
        try:
            self._study.add_trial(frozen_trial(record, space, self._families))
        except OSError as error:
            raise TrainingError(
                f"the search cannot be recorded ({error})", cure="Free some disk and run it again."
            ) from error

    @property
    def finished(self) -> str | None:
        """The budget that was used up, as text; None while the search is unfinished."""
        found = self._study.user_attrs.get(FINISHED)
        return None if found is None else str(found)

    def finish(self, budget: str) -> None:
        """Note that a budget has been used up."""
        self._study.set_user_attr(FINISHED, budget)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder of a search; the operating system lets go of it with the process.

    Raises:
        TrainingError: Another process searches there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "search.lock", timeout=0):
            yield
    except Timeout:
        raise TrainingError(
            "another process is searching here", where=str(folder), cure="Wait for it, or stop it."
        ) from None


def study_name(problem: Problem, settings: SearchSection) -> str:
    """Return a name that changes with the problem and with everything but the budget of the configuration."""
    content = hashlib.sha256()
    rows = [array for fold in problem.folds for array in fold]
    for array in (problem.matrix, problem.y, *rows):
        content.update(str((array.shape, array.dtype)).encode())
        content.update(array.tobytes())
    rest = settings.model_dump_json(exclude={"seconds", "trials", "workers"})
    facts = (problem.task, problem.classes, problem.levels, problem.metric, problem.class_weight, problem.seed)
    content.update(f"{rest}{facts}".encode())
    return content.hexdigest()[:16]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions of a space."""
    found: dict[str, BaseDistribution] = {}
    for name, dimension in space.items():
        if isinstance(dimension, Choice):
            found[name] = CategoricalDistribution(dimension.options)
        elif isinstance(dimension, Real):
            found[name] = FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        else:
            found[name] = IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return found


def prefixed(family: str, name: str) -> str:
    """Return the name of a family's parameter in a study that all families share."""
    return f"{family}.{name}"


def frozen_trial(
    record: TrialRecord,
    space: Space,
    families: Sequence[str],
    *,
    loss: float | None = None,
    state: TrialState | None = None,
) -> FrozenTrial:
    """Return a record as a trial of Optuna.

    Args:
        record: What was tried.
        space: Space of its family.
        families: Names of the racing families.
        loss: Value in place of the score.
        state: State in place of the record's.
    """
    forms = {name: form for name, form in distributions(space).items() if name in record.parameters}
    state = state or STATES[record.state]
    value = record.score if loss is None else loss
    return create_trial(
        state=state,
        value=value if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        params={"family": record.family, **{prefixed(record.family, key): record.parameters[key] for key in forms}},
        distributions={
            "family": CategoricalDistribution(tuple(families)),
            **{prefixed(record.family, key): form for key, form in forms.items()},
        },
        intermediate_values=dict(enumerate(record.fold_scores)),
        user_attrs={RECORD: record.model_dump_json()},
    )


def _mend(file: Path) -> None:
    """Cut off a line that a kill left unfinished, and drop the lock that went with it."""
    for suffix in (".lock", ".lock.rename"):
        with contextlib.suppress(FileNotFoundError):
            file.with_name(file.name + suffix).unlink()
    if file.exists():
        content = file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            file.write_bytes(whole)
