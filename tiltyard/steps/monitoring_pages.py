"""The pages about a check: ours and Evidently's, in the object store and at MLflow."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path, PurePosixPath

from tiltyard.errors import AbsentError, RegistryError
from tiltyard.monitoring.charts import draw_charts
from tiltyard.monitoring.history import ROOM, Check, History
from tiltyard.monitoring.page import render_page
from tiltyard.monitoring.points import points_of
from tiltyard.monitoring.reference import Reference
from tiltyard.monitoring.report import evidently_report, quality_of
from tiltyard.monitoring.summary import moment, summarise
from tiltyard.monitoring.watching import Seen
from tiltyard.project.section import Section
from tiltyard.registry.records import TrackedRun
from tiltyard.registry.tracking import RunContent, artifact_url, log_run
from tiltyard.steps.place import Place
from tiltyard.storage.base import Store

PAGE = "page.html"
REPORT = "evidently.html"

MOST_PAGES = 200
"""Pages that the store keeps, the latest; MLflow keeps all."""

MOST_REPORTS = 20
"""Evidently's reports that the store keeps: they have some megabytes each."""


class Pages(Section):
    """Where the pages about a check are.

    Attributes:
        page: Key of our page in the object store.
        report: Key of Evidently's report; empty when there was nothing to draw.
        run: The MLflow run that has both; None when MLflow did not take them.
        problem: Why MLflow did not; empty when it did.
    """

    page: str
    report: str = ""
    run: TrackedRun | None = None
    problem: str = ""

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Names and addresses of what a browser can open; none at an MLflow that is only a file."""
        if self.run is None or not self.run.url:
            return ()
        found = [("The page about the check", artifact_url(self.run, PAGE))]
        found += [("Evidently's report", artifact_url(self.run, REPORT))] if self.report else []
        return (*found, ("The run in MLflow", self.run.url))


def write_pages(place: Place, check: Check, checks: Sequence[Check], seen: Seen, reference: Reference) -> Pages:
    """Write the pages about a check; the same check again replaces them.

    Args:
        place: The project.
        check: The check, decided about.
        checks: Earlier and later ones, for the pictures over time.
        seen: What was looked at.
        reference: What it was held against.

    Raises:
        StorageError: The store cannot be reached, is full or refuses.
    """
    charts = draw_charts(points_of((*checks, check)), reference.facts.metric, reference.facts.score)
    report = _report(check, seen, reference)
    page = render_page(check, charts=charts, report=REPORT if report else "")
    files = {PAGE: page.encode()} | ({REPORT: report.encode()} if report else {})
    files |= {f"charts/{name}.png": picture for name, picture in charts.items()}
    folder = f"{_room(check.model)}/{_name(check)}"
    for name, content in files.items():
        place.store.write(f"{folder}/{name}", content)
    _forget(place.store, check.model)
    run, problem = _track(place, check, files)
    return Pages(page=f"{folder}/{PAGE}", report=f"{folder}/{REPORT}" if report else "", run=run, problem=problem)


def latest_page(place: Place, folder: Path) -> Path:
    """Bring the page about the check of the latest window to this machine.

    Args:
        place: The project.
        folder: Where to.

    Returns:
        The page; Evidently's report lies beside it.

    Raises:
        AbsentError: Nothing was checked yet.
        StorageError: The store cannot be reached.
        DataError: The record of the check is damaged.
    """
    check = History(place.store, place.project.name).latest()
    room = f"{_room(place.project.name)}/{_name(check)}" if check else ""
    keys = [key for key in place.store.list(room) if not key.endswith(".png")] if check else []
    if not keys:
        raise AbsentError(
            f"`{place.project.name}` was not checked yet, so there is no page", cure="Run `tiltyard monitor` first."
        )
    target = folder / PurePosixPath(room).name
    target.mkdir(parents=True, exist_ok=True)
    for key in keys:
        (target / PurePosixPath(key).name).write_bytes(place.store.read(key))
    return target / PAGE


def _report(check: Check, seen: Seen, reference: Reference) -> str | None:
    """Return Evidently's report of a window."""
    labelled = seen.labelled and seen.labelled.part(version=seen.version, start=check.start, end=check.end)
    version = f"version {check.version}, {moment(check.start)} to {moment(check.end)}"
    return evidently_report(
        reference.test,
        seen.sample.sample,
        check.drift,
        quality_of(reference, labelled),
        title=f"{check.model}, {version}",
        days=seen.sample.days,
    )


def _track(place: Place, check: Check, files: Mapping[str, bytes]) -> tuple[TrackedRun | None, str]:
    """Give MLflow the pages; when it does not take them, say why: a check must not end for that."""
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {name: Path(folder) / name for name in files}
        for name, content in files.items():
            artifacts[name].parent.mkdir(parents=True, exist_ok=True)
            artifacts[name].write_bytes(content)
        logged = RunContent(
            metrics=_metrics(check), tags=_tags(check), artifacts=artifacts, description=_description(check)
        )
        key = f"{check.model}-{_name(check)}"
        name = f"version {check.version} until {moment(check.end)}"
        try:
            return log_run(place.registry, f"{check.model}.monitoring", key, logged, name=name), ""
        except RegistryError as error:
            return None, str(error)


def _metrics(check: Check) -> dict[str, float]:
    """Return the figures of a check."""
    known = {"rows": float(check.rows), "findings": float(len(check.drift.findings))}
    own = [score for score in check.performance if score.version == check.version]
    if own and own[-1].value is not None:
        known |= {own[-1].metric: own[-1].value, "label_coverage": own[-1].coverage}
    if check.estimate is not None and check.estimate.value is not None:
        known[f"estimated_{check.estimate.metric}"] = check.estimate.value
    return known


def _tags(check: Check) -> dict[str, str]:
    """Return what a check can be searched by."""
    decision = check.decision.action if check.decision else "none"
    return {
        "mlflow.source.name": "tiltyard monitor",
        "tiltyard.version": str(check.version),
        "tiltyard.window_start": check.start.isoformat(),
        "tiltyard.window_end": check.end.isoformat(),
        "tiltyard.state": summarise(check).state,
        "tiltyard.decision": decision,
    }


def _description(check: Check) -> str:
    summary = summarise(check)
    return f"**{summary.headline}**\n\n{summary.what}\n\n{summary.todo}"


def _forget(store: Store, model: str) -> None:
    """Delete the pages of long ago, and the large ones sooner."""
    room = _room(model)
    keys = store.list(room)
    names = sorted({PurePosixPath(key).relative_to(room).parts[0] for key in keys})
    gone, light = set(names[:-MOST_PAGES]), set(names[:-MOST_REPORTS])
    for key in keys:
        name = PurePosixPath(key).relative_to(room).parts[0]
        if name in gone or (name in light and key.endswith(REPORT)):
            store.delete(key)


def _room(model: str) -> str:
    return f"{ROOM}/{model}/pages"


def _name(check: Check) -> str:
    """Return the name of a check's pages; names sort as windows end."""
    form = "%Y-%m-%dT%H%M%S.%fZ"
    start, end = (one.astimezone(UTC) for one in (check.start, check.end))
    return f"{end:{form}}-from-{start:{form}}-v{check.version}"
