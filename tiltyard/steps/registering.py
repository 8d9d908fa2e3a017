"""The challenger enters MLflow with its evidence, and the ledger takes note."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tiltyard.bundle.table_model import TableModel
from tiltyard.data.contract_file import dump_contract
from tiltyard.data.parts import Part
from tiltyard.data.sources import describe_source
from tiltyard.data.split import SplitSummary
from tiltyard.evaluation.records import Estimate, Scorecard
from tiltyard.project.loading import digest
from tiltyard.project.section import Section
from tiltyard.registry.entry import Kind
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.records import ChildRun, ModelRef, Scalar, TrackedRun
from tiltyard.registry.registration import Submission, find_version, register_version
from tiltyard.registry.requirements import git_tags
from tiltyard.registry.signature import DatasetFacts
from tiltyard.registry.tracking import RunContent, log_run
from tiltyard.steps.bundling import BundleRef
from tiltyard.steps.champion import SEEN_ROWS
from tiltyard.steps.data import REPORT, load_split, load_table
from tiltyard.steps.place import Place
from tiltyard.steps.reference import reference_files
from tiltyard.steps.run import TrainingRun
from tiltyard.steps.training import FittedRef, load_model
from tiltyard.training.problem import SearchResult, TrialRecord

MOST_CHILDREN = 50
"""Best trials that get a child run of their own; the leaderboard has all of them."""


FLOW_RUN = "tiltyard.flow_run"
"""Tag of a run and a version: the page of the flow run in Prefect's UI."""


class Registered(Section):
    """Where the challenger is in MLflow.

    Attributes:
        ref: The version.
        tracked: The run.
    """

    ref: ModelRef
    tracked: TrackedRun


def register(
    run: TrainingRun,
    *,
    parts: SplitSummary,
    result: SearchResult,
    fitted: FittedRef,
    scorecard: Scorecard,
    bundle: BundleRef,
) -> Registered:
    """Log the run and register its model as challenger; a repeated call finds both again.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    place = Place(run.project, run.workplace)
    tags = evidence_tags(run, scorecard, bundle) | git_tags(run.workplace.folder)
    if run.page:
        tags[FLOW_RUN] = run.page
    content = RunContent(
        params=dict(_parameters(run, result)),
        metrics=_metrics(scorecard, result),
        tags=tags,
        dataset=_dataset(run),
        contract=run.contract,
        artifacts=_artifacts(run),
        children=_children(result),
        description=_description(run, parts, result, scorecard),
    )
    tracked = log_run(place.registry, run.project.name, run.key, content, name=run.key)
    submission = Submission(
        project=run.project.name,
        run_key=run.key,
        model=TableModel(load_model(fitted.model), run.contract),
        contract=run.contract,
        example=load_table(run).head(5),
        bundle=bundle.folder,
        files={SEEN_ROWS: _seen_rows(run), **reference_files(run, bundle, scorecard)},
        tags=tags,
        description=content.description,
    )
    ref = register_version(place.registry, tracked, submission)
    evidence: dict[str, Scalar] = {"run": run.key, "mlflow_run": tracked.run, "family": fitted.family}
    evidence["bundle"] = bundle.digest
    evidence |= {name: score.value for name, score in scorecard.metrics.items()}
    note_once(run, "registered", ref, reason=run.reason, evidence=evidence)
    return Registered(ref=ref, tracked=tracked)


def is_there(run: TrainingRun) -> bool:
    """Whether the version that the same run made before is still in the registry.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    place = Place(run.project, run.workplace)
    return find_version(place.registry, run.project.name, run.key) is not None


def note_once(run: TrainingRun, kind: Kind, ref: ModelRef, *, reason: str, evidence: Mapping[str, Scalar]) -> None:
    """Append an entry to the ledger, unless it is there already from before an interruption.

    What was written before the version was deleted is about another one of the same number.

    Raises:
        StorageError: The ledger cannot be reached.
    """
    ledger: Ledger = Place(run.project, run.workplace).ledger
    entries = ledger.entries()
    lost = [entry.sequence for entry in entries if entry.kind == "deleted" and entry.version in {None, ref.version}]
    noted = any(
        entry.kind == kind and entry.version == ref.version and dict(entry.evidence) == dict(evidence)
        for entry in entries[lost[-1] if lost else 0 :]
    )
    if not noted:
        actor = run.workplace.actor
        ledger.append(kind, actor=actor, version=ref.version, reason=reason, evidence=evidence)


def evidence_tags(run: TrainingRun, scorecard: Scorecard, bundle: BundleRef) -> dict[str, str]:
    """Return the tags by which a version can be held against its evidence."""
    return {
        "tiltyard.run_key": run.key,
        "tiltyard.data_fingerprint": run.dataset.fingerprint,
        "tiltyard.contract_digest": run.contract.digest,
        "tiltyard.scorecard_digest": digest(scorecard),
        "tiltyard.bundle_digest": bundle.digest,
        "tiltyard.family": bundle.manifest.family,
        "tiltyard.reason": run.reason,
    }


def _parameters(run: TrainingRun, result: SearchResult) -> Iterator[tuple[str, Scalar]]:
    """Yield the configuration in force and what was chosen, by dotted names."""
    yield "family", result.family
    yield from ((f"model.{name}", value) for name, value in result.parameters.items())
    sections = run.project.model_dump(mode="json", include={"task", "split", "search", "gates"})
    for section, content in sections.items():
        for key, value in content.items():
            yield f"{section}.{key}", value if isinstance(value, Scalar) else str(value)


def _metrics(scorecard: Scorecard, result: SearchResult) -> dict[str, float]:
    """Return every score with the ends of its interval, and the search's own figures."""
    metrics = {f"search.{result.metric}": result.score, "search.seconds": result.seconds}
    metrics["search.trials"] = float(len(result.trials))
    for name, score in scorecard.metrics.items():
        metrics |= {f"test.{name}": score.value, f"test.{name}.low": score.low, f"test.{name}.high": score.high}
    return metrics


def _dataset(run: TrainingRun) -> DatasetFacts:
    return DatasetFacts(
        name=run.project.name,
        uri=describe_source(run.project.data.source, run.workplace),
        fingerprint=run.dataset.fingerprint,
        rows=run.dataset.rows,
        columns=run.dataset.columns,
    )


def _artifacts(run: TrainingRun) -> dict[str, Path]:
    """Return the files of a run that are worth looking at, by their place in MLflow."""
    contract = run.file("contract.yaml")
    contract.write_text(dump_contract(run.contract), encoding="utf-8")
    project = run.file("project.json")
    project.write_text(run.project.model_dump_json(indent=1), encoding="utf-8")
    found = {name: run.folder / name for name in (REPORT, "contract.yaml", "project.json")}
    found |= {f"search/{file.name}": file for file in sorted((run.folder / "search").glob("leaderboard.*"))}
    return found


def _children(result: SearchResult) -> list[ChildRun]:
    """Return the trials that get a page of their own: the best of those that ran on all folds, then the others."""
    ranked = sorted(result.trials, key=lambda trial: (trial.state != "complete", trial.state == "failed", trial.number))
    return [_child(trial, result.metric) for trial in ranked[:MOST_CHILDREN]]


def _child(trial: TrialRecord, metric: str) -> ChildRun:
    metrics = {"seconds": trial.seconds, "rows": float(trial.rows), "folds": float(len(trial.folds))}
    if trial.score is not None:
        metrics[metric] = trial.score
    return ChildRun(
        name=f"{trial.number:04d} {trial.family}",
        parameters={"family": trial.family, "state": trial.state, **trial.parameters},
        metrics=metrics,
        status="FAILED" if trial.state == "failed" else "FINISHED",
        seconds=trial.seconds,
    )


def _description(run: TrainingRun, parts: SplitSummary, result: SearchResult, scorecard: Scorecard) -> str:
    """Return the evidence in words."""
    primary = scorecard.metrics[scorecard.primary]
    lines = [
        run.project.purpose or f"Predicts `{run.contract.target.name}`.",
        f"**{scorecard.primary} {_interval(primary)}** on {scorecard.rows:,} test rows.",
        result.sentence,
        parts.sentence,
        scorecard.weakest,
        f"Data {run.dataset.fingerprint[:12]}, {run.dataset.rows:,} rows{_known(run)}. Run {run.key}. {run.reason}",
        f"[The flow run in Prefect]({run.page})" if run.page else "",
    ]
    return "\n\n".join(line for line in lines if line)


def _known(run: TrainingRun) -> str:
    """Say up to when the rows of a backfill were known."""
    return "" if run.as_of is None else f" known by {run.as_of:%Y-%m-%d %H:%M} UTC"


def _interval(score: Estimate) -> str:
    return f"{score.value:.4g} (95 % interval {score.low:.4g} to {score.high:.4g})"


def _seen_rows(run: TrainingRun) -> Path:
    """Write the content hashes of the rows that the model learnt from."""
    split = load_split(run)
    file = run.file(SEEN_ROWS)
    np.save(file, np.unique(split.keys[split.rows(Part.TRAIN, Part.VALIDATION, Part.CALIBRATION)]))
    return file
