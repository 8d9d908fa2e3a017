"""One training run: what identifies it, and where its pieces lie."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from tiltyard.data.as_of import AsOf, last_moment, time_column
from tiltyard.data.contract import Contract
from tiltyard.data.contract_file import load_contract
from tiltyard.data.dataset import DatasetRef
from tiltyard.data.usage import in_use
from tiltyard.errors import ConflictError
from tiltyard.evaluation.records import Scorecard, Verdict
from tiltyard.project.environment import Workplace
from tiltyard.project.gates import PEOPLE_DECIDE, GatesSection
from tiltyard.project.loading import digest, load_project, project_file_of
from tiltyard.project.model import Project
from tiltyard.project.monitoring import MonitoringSection
from tiltyard.project.provenance import code_digest
from tiltyard.project.rollout import RolloutSection
from tiltyard.project.schedule import ScheduleSection
from tiltyard.project.section import Section
from tiltyard.registry.approvals import Standing
from tiltyard.registry.rollout import Rollout
from tiltyard.training.custom import check_estimators

Mode = Literal["superiority", "non_inferiority"]
"""What a challenger must show: that it is better, or that it is not worse by more than the margin."""


class Assignment(Section):
    """What a training run was asked to do.

    Attributes:
        project_file: The project file, absolute.
        project: Its content, with the changes asked for this run.
        reviewed: The data contract as a person reviewed it.
        contract: The contract as the project uses it: roles, positive class and protection in force.
        reason: Why the run was started, in a few words.
        as_of: Rows of a later time are left out; naive, in UTC. None for all rows.
        page: Address of the page that shows the run at work; empty when there is none.
    """

    project_file: Path
    project: Project
    reviewed: Contract
    contract: Contract
    reason: str = ""
    as_of: datetime | None = None
    page: str = ""

    @property
    def workplace(self) -> Workplace:
        """The folders and addresses in force."""
        return Workplace(self.project_file)


class TrainingRun(Assignment):
    """An assignment on one state of the data.

    Attributes:
        dataset: The rows, as they were read.
        key: Names project, data, configuration and code; the same key is the same run.
    """

    dataset: DatasetRef
    key: str

    @property
    def folder(self) -> Path:
        """Where everything that the run makes on this machine lies."""
        return self.workplace.run_folder(self.key)

    def file(self, name: str) -> Path:
        """Return the path of one of the run's files, its folder made."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class TrainingOutcome(Section):
    """How a training run ended.

    Attributes:
        project: Name of the project.
        run_key: Names project, data, configuration and code.
        version: Version of the registered model; None after a dry run, which registers nothing.
        verdict: What the gate decided.
        scorecard: What the challenger is worth.
        champion_before: The champion it was compared with; None when there was none.
        promoted: Whether it is champion by this run.
        approval: How the question to a person stands; None when nobody was asked.
        decision: What a person decided, in words; empty when nobody did.
        rollout: How its rollout stands; None when there is none.
        held: Why a winner takes over neither at once nor by a rollout, in words; empty where that is no question.
        repeated: Whether an earlier run had already done all of it.
        mlflow_run: The MLflow run with all evidence; None after a dry run.
        card: The model card on this machine.
        report: The validation report on this machine.
        finished: When, UTC.
    """

    project: str
    run_key: str
    version: int | None
    verdict: Verdict
    scorecard: Scorecard
    champion_before: int | None
    promoted: bool
    approval: Standing | None = None
    decision: str = ""
    rollout: Rollout | None = None
    held: str = ""
    repeated: bool = False
    mlflow_run: str | None
    card: Path
    report: Path
    finished: datetime


def assign(
    project_file: Path,
    *,
    reason: str = "",
    seconds: float | None = None,
    trials: int | None = None,
    mode: Mode | None = None,
    as_of: AsOf = None,
    page: str = "",
) -> Assignment:
    """Load a project and its contract, with what this run was asked for in place of what the file says.

    Args:
        project_file: The project file or its folder.
        reason: Why the run was started.
        seconds: Wall time of the search; the file's when None.
        trials: Number of trials; the file's when None. Given alone, no time limit applies.
        mode: What the challenger must show; the file's when None.
        as_of: Rows of a later time are left out; a date means the end of that day (UTC).
        page: Address of the page that shows the run at work.

    Raises:
        ProjectError: The project file or the contract is missing or wrong, or nothing tells what was known at `as_of`.
        TrainingError: An estimator of the user's own cannot be imported or used.
    """
    file = project_file_of(project_file).resolve()
    project = load_project(file)
    if seconds is not None or trials is not None:
        search = project.search.model_copy(update={"seconds": seconds, "trials": trials})
        project = project.model_copy(update={"search": search})
    if mode is not None:
        project = project.model_copy(update={"gates": project.gates.model_copy(update={"mode": mode})})
    check_estimators(project.search, project.task.kind, file.parent)
    reviewed = load_contract(file.parent / project.data.contract)
    used = in_use(reviewed, project, protection_key(Workplace(file)))
    if as_of is not None:
        time_column(project, used)
    return Assignment(
        project_file=file,
        project=project,
        reviewed=reviewed,
        contract=used,
        reason=reason,
        as_of=None if as_of is None else last_moment(as_of),
        page=page,
    )


def protection_key(workplace: Workplace) -> str | None:
    """Return the key of the keyed hashes, in the clear."""
    return workplace.environment.key


def identify(assignment: Assignment, dataset: DatasetRef) -> TrainingRun:
    """Name the run of an assignment on a dataset; when it starts and what follows its verdict are no part of it."""
    project = assignment.project
    deciding = {name: getattr(GatesSection(), name) for name in PEOPLE_DECIDE}
    trained = project.model_copy(
        update={
            "schedule": ScheduleSection(),
            "rollout": RolloutSection(),
            "monitoring": MonitoringSection(),
            "gates": project.gates.model_copy(update=deciding),
        }
    )
    configuration = digest((trained, assignment.reviewed))
    key = f"{dataset.fingerprint[:12]}-{configuration[:8]}-{code_digest()[:8]}"
    return TrainingRun(
        **{name: getattr(assignment, name) for name in Assignment.model_fields},
        dataset=dataset,
        key=key,
    )


@contextmanager
def one_at_a_time(assignment: Assignment) -> Iterator[None]:
    """Hold the project's training lock; it ends with the process, however that ends.

    Raises:
        ConflictError: Another training run of the project is under way on this machine.
    """
    name, folder = assignment.project.name, assignment.workplace.home / "training"
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / f"{name}.pid"
    try:
        with FileLock(folder / f"{name}.lock", timeout=0):
            holder.write_text(str(os.getpid()))
            yield
    except Timeout:
        raise ConflictError(
            f"another training run of `{name}` is under way (process {holder.read_text()})",
            where=str(assignment.workplace.home),
            cure="Wait for it to end, or stop that process.",
        ) from None


_OUTCOME = "outcome.json"


def conclude(run: TrainingRun, outcome: TrainingOutcome) -> TrainingOutcome:
    """Remember how a run ended, so that the same run again redoes nothing."""
    run.folder.mkdir(parents=True, exist_ok=True)
    return keep_outcome(run.folder, outcome)


def keep_outcome(folder: Path, outcome: TrainingOutcome) -> TrainingOutcome:
    """Write how a run ended into its folder; a reader sees the whole file or none."""
    file = folder / _OUTCOME
    draft = file.with_suffix(".part")
    draft.write_text(outcome.model_dump_json(indent=1), encoding="utf-8")
    draft.replace(file)
    return outcome


def earlier_outcome(run: TrainingRun, *, promote: bool) -> TrainingOutcome | None:
    """Return how the same run ended before, when nothing that is asked now is still to be done."""
    file = run.folder / _OUTCOME
    if not file.exists():
        return None
    outcome = TrainingOutcome.model_validate_json(file.read_bytes())
    if (
        promote
        and not outcome.promoted
        and outcome.rollout is None
        and (outcome.verdict.outcome == "promote" or outcome.approval)
    ):
        return None  # a winner was held back, or a person asked: that may stand otherwise by now
    return outcome.model_copy(update={"repeated": True})
