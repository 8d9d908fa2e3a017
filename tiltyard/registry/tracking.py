"""One MLflow run per training run: found again by its key, so that nothing is logged twice."""

import getpass
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.entities import Metric, Param, Run, RunTag, ViewType

from tiltyard.data.contract import Contract
from tiltyard.errors import RegistryError
from tiltyard.registry.client import Registry
from tiltyard.registry.records import ChildRun, Scalar, TrackedRun
from tiltyard.registry.signature import DatasetFacts, dataset_input

RUN_KEY = "tiltyard.run_key"
"""Tag of runs and versions: the training run's key of project, data, configuration and code."""

MOST_CHILDREN = 40
"""Trials that get a run of their own."""

_TRIAL = "tiltyard.trial"
_PARENT = "mlflow.parentRunId"
_PAGE = 1000
_BATCH = 100
_LONGEST_PARAM = 6000
_LONGEST_TAG = 8000


@dataclass(frozen=True)
class RunContent:
    """What is logged of a training run.

    Attributes:
        params: Configuration in force.
        metrics: Scores; values that are not finite are left out.
        tags: Further tags, such as those of `git_tags`.
        dataset: The training table; None to log no dataset.
        contract: Its contract, for the dataset's schema.
        artifacts: Local file or folder by its path in the run, such as `plots` or `card.html`.
        children: The trials of the search, those most worth a page first: the first `MOST_CHILDREN` become child runs,
            and a tag tells how many there were. Each costs MLflow three calls (some 25 ms); the whole table is an
            artifact.
        description: Markdown that stands first on the run's page.
    """

    params: Mapping[str, Scalar] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: DatasetFacts | None = None
    contract: Contract | None = None
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    children: Sequence[ChildRun] = ()
    description: str = ""


def start_run(registry: Registry, project: str, run_key: str, *, name: str) -> TrackedRun:
    """Return the run of a key: the one that is there, or a new one.

    Args:
        registry: The connection.
        project: Name of the project, which is the experiment's.
        run_key: Key of the training run.
        name: Name of a new run in the UI.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    experiment = registry.experiment(project)
    with registry.explained(f"open the run `{run_key}`"):
        found = _find(registry, experiment, run_key)
        run = found or registry.client.create_run(experiment, tags={RUN_KEY: run_key, **_source_tags()}, run_name=name)
        url = f"{registry.shown_uri.rstrip('/')}/#/experiments/{experiment}/runs/{run.info.run_id}"
        return TrackedRun(
            experiment=experiment, run=run.info.run_id, url=url if registry.is_server else "", found=found is not None
        )


def log_content(registry: Registry, tracked: TrackedRun, content: RunContent) -> None:
    """Log what a run is made of; what an interrupted call has logged already stays as it is.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    with registry.explained(f"log the run {tracked.run}"):
        run = registry.client.get_run(tracked.run)
        _log_values(registry, run, content)
        if content.dataset and content.contract and not (run.inputs and run.inputs.dataset_inputs):
            registry.client.log_inputs(tracked.run, [dataset_input(content.dataset, content.contract)])
        for place, path in content.artifacts.items():
            _log_artifact(registry, tracked.run, place, path)
        _log_children(registry, run, content.children)


def artifact_url(tracked: TrackedRun, place: str) -> str:
    """Return the page of one of a run's files in MLflow's UI; empty where there is no UI."""
    return f"{tracked.url}/artifacts/{place}" if tracked.url else ""


def end_run(registry: Registry, tracked: TrackedRun, *, finished: bool = True) -> None:
    """Close a run as finished or failed.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    with registry.explained(f"close the run {tracked.run}"):
        registry.client.set_terminated(tracked.run, status="FINISHED" if finished else "FAILED")


def log_run(registry: Registry, project: str, run_key: str, content: RunContent, *, name: str) -> TrackedRun:
    """Start (or find) a run, log everything and close it as finished.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    tracked = start_run(registry, project, run_key, name=name)
    log_content(registry, tracked, content)
    end_run(registry, tracked)
    return tracked


def _find(registry: Registry, experiment: str, run_key: str) -> Run | None:
    """Return the oldest run with a key."""
    wanted = f"tags.`{RUN_KEY}` = '{run_key}' AND tags.`{_TRIAL}` IS NULL"
    runs = registry.client.search_runs(
        [experiment], wanted, ViewType.ACTIVE_ONLY, max_results=1, order_by=["attributes.start_time ASC"]
    )
    return runs[0] if runs else None


def _source_tags() -> dict[str, str]:
    """Return who and what made a run, in MLflow's words."""
    return {"mlflow.user": _login(), "mlflow.source.name": "tiltyard train", "mlflow.source.type": "LOCAL"}


def _login() -> str:
    """Return the login name; containers may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _log_values(registry: Registry, run: Run, content: RunContent) -> None:
    """Log parameters, metrics and tags that are not there yet.

    Metrics carry the run's own time, so that logging one again changes nothing.
    """
    params = [
        Param(key, str(value)[:_LONGEST_PARAM])
        for key, value in content.params.items()
        if value is not None and key not in run.data.params
    ]
    tags = dict(content.tags) | ({"mlflow.note.content": content.description} if content.description else {})
    metrics = _metrics(content.metrics, run.info.start_time)
    for start in range(0, len(params), _BATCH):
        registry.client.log_batch(run.info.run_id, params=params[start : start + _BATCH])
    run_tags = [RunTag(key, value[:_LONGEST_TAG]) for key, value in tags.items()]
    registry.client.log_batch(run.info.run_id, metrics=metrics, tags=run_tags)


def _metrics(values: Mapping[str, float], timestamp: int) -> list[Metric]:
    """Return the finite values as metrics."""
    return [Metric(key, float(value), timestamp, 0) for key, value in values.items() if math.isfinite(value)]


def _log_artifact(registry: Registry, run: str, place: str, path: Path) -> None:
    """Log a folder's content under `place`, or one file as `place`."""
    if path.is_dir():
        registry.client.log_artifacts(run, str(path), place)
        return
    folder, _, name = place.rpartition("/")
    if name != path.name:
        raise RegistryError(f"the artifact `{place}` must keep the name of its file, `{path.name}`", where=str(path))
    registry.client.log_artifact(run, str(path), folder or None)


def _log_children(registry: Registry, parent: Run, children: Sequence[ChildRun]) -> None:
    """Log the trials that are not there yet: three calls each, whatever a trial holds."""
    wanted = children[:MOST_CHILDREN]
    if not wanted:
        return
    registry.client.set_tag(parent.info.run_id, "tiltyard.trials", f"{len(wanted)} of {len(children)} logged")
    there = _logged_children(registry, parent)
    start = parent.info.start_time
    for child in wanted:
        if child.name not in there:
            _log_child(registry, parent, child, start)
            start += max(1, round(child.seconds * 1000))


def _logged_children(registry: Registry, parent: Run) -> set[str]:
    """Return the names of the trials that were logged to the end; those cut off on the way are removed."""
    wanted = f"tags.`{_PARENT}` = '{parent.info.run_id}'"
    names, token = set(), None
    while True:
        page = registry.client.search_runs([parent.info.experiment_id], wanted, max_results=_PAGE, page_token=token)
        for run in page:
            if run.info.status == "RUNNING":
                registry.client.delete_run(run.info.run_id)
            else:
                names.add(run.data.tags.get(_TRIAL, ""))
        token = page.token
        if not token:
            return names


def _log_child(registry: Registry, parent: Run, child: ChildRun, start: int) -> None:
    """Log one trial as a child run."""
    tags = {_PARENT: parent.info.run_id, _TRIAL: child.name, **_source_tags()}
    client = registry.client
    run = client.create_run(parent.info.experiment_id, start_time=start, tags=tags, run_name=child.name).info.run_id
    params = [Param(key, str(value)[:_LONGEST_PARAM]) for key, value in child.parameters.items() if value is not None]
    client.log_batch(run, params=params[:_BATCH], metrics=_metrics(child.metrics, start))
    client.set_terminated(run, status=child.status, end_time=start + round(child.seconds * 1000))
