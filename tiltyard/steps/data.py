"""Reading, checking and splitting the table of a run."""

import tempfile
from pathlib import Path

import pandas as pd

from tiltyard.data.checks import check_table, stop_on
from tiltyard.data.dataset import DatasetRef, fingerprint, ingest, read_dataset, write_dataset
from tiltyard.data.evolution import compare_contracts, refuse_breaking
from tiltyard.data.findings import Finding
from tiltyard.data.report import validation_report
from tiltyard.data.sources import read_source
from tiltyard.data.split import Split, SplitSummary, make_split
from tiltyard.project.section import Section
from tiltyard.registry.records import ModelRef
from tiltyard.steps.champion import champion_runtime
from tiltyard.steps.place import Place
from tiltyard.steps.run import Assignment, TrainingRun, protection_key

REPORT = "validation.html"
_SPLIT = "split.parquet"


class CheckSummary(Section):
    """What the checks found.

    Attributes:
        findings: All of it, errors first.
        report: The validation report on this machine.
    """

    findings: tuple[Finding, ...]
    report: Path


def read_table(assignment: Assignment) -> DatasetRef:
    """Read the source once, protect and type it, and keep it as Parquet in the object store under its fingerprint.

    Raises:
        DataError: The source cannot be read, or breaks the contract.
        StorageError: The object store cannot be reached.
    """
    place = Place(assignment.project, assignment.workplace)
    source = assignment.project.data.source
    frame = ingest(
        assignment.project,
        assignment.reviewed,
        read=lambda: read_source(source, workplace=place.workplace, open_remote=place.open_remote),
        key=protection_key(place.workplace),
        where=assignment.project.name,
        as_of=assignment.as_of,
    )
    name = fingerprint(frame)
    uri = f"datasets/{assignment.project.name}/{name}.parquet"
    if not place.store.exists(uri):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "table.parquet"
            write_dataset(frame, file)
            place.store.upload(file, uri)
    return DatasetRef(uri=uri, fingerprint=name, rows=len(frame), columns=len(frame.columns))


def load_table(run: TrainingRun) -> pd.DataFrame:
    """Return the typed frame of a run."""
    place = Place(run.project, run.workplace)
    return read_dataset(place.store.fetch(run.dataset.uri), run.contract)


def examine(run: TrainingRun) -> CheckSummary:
    """Check the table and write the validation report, whatever is found."""
    frame = load_table(run)
    findings = check_table(frame, run.contract, run.project)
    report = run.file(REPORT)
    report.write_text(validation_report(frame, run.contract, findings), encoding="utf-8")
    return CheckSummary(findings=findings, report=report)


def check(run: TrainingRun, champion: ModelRef | None, summary: CheckSummary) -> None:
    """Stop a run whose table or contract is not what it must be.

    Args:
        run: The run.
        champion: Champion in force; a strict run refuses a contract that breaks the promises of the champion's.
        summary: What was found in the table.

    Raises:
        DataError: A check is broken, by the level the project chose.
    """
    if champion and run.project.data.checks == "strict":
        refuse_breaking(compare_contracts(champion_runtime(run, champion).contract, run.contract))
    stop_on(summary.findings, run.project.data.checks)


def split(run: TrainingRun) -> SplitSummary:
    """Deal the rows to the parts.

    Raises:
        DataError: The rows cannot be split as asked.
    """
    parts = make_split(load_table(run), run.contract, run.project)
    parts.save(run.file(_SPLIT))
    return parts.summary()


def load_split(run: TrainingRun) -> Split:
    """Return the split of a run."""
    return Split.load(run.folder / _SPLIT)
