"""The pages about a check: ours and Evidently's, in the object store and at MLflow."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tiltyard.errors import RegistryError
from tiltyard.monitoring.charts import draw_charts
from tiltyard.monitoring.history import Check
from tiltyard.monitoring.page import render_page
from tiltyard.monitoring.points import points_of
from tiltyard.monitoring.reference import Reference
from tiltyard.monitoring.shelf import PAGE, REPORT, put_pages
from tiltyard.monitoring.summary import moment, summarise
from tiltyard.monitoring.watching import Seen
from tiltyard.project.section import Section
from tiltyard.registry.records import TrackedRun
from tiltyard.registry.tracking import RunContent, artifact_url, log_run
from tiltyard.steps.place import Place


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


def write_pages(
    place: Place, name: str, check: Check, checks: Sequence[Check], *, seen: Seen, reference: Reference
) -> Pages:
    """Write the pages about a check; the same check again replaces them.

    Args:
        place: The project.
        name: Name of the check.
        check: The check, decided about.
        checks: Earlier and later ones, for the pictures over time.
        seen: What was looked at.
        reference: What it was held against.

    Raises:
        StorageError: The store cannot be reached, is full or refuses.
    """
    charts = draw_charts(points_of((*checks, check)), reference.facts.metric, reference.facts.score)
    report = _report(check, seen, reference)
    page, framed = (
        render_page(check, charts=charts, report=REPORT if report else "", linked=linked).encode()
        for linked in (True, False)
    )
    files = {REPORT: report.encode()} if report else {}
    files |= {f"charts/{name}.png": picture for name, picture in charts.items()}
    folder = put_pages(place.store, check.model, name, {PAGE: page, **files})
    run, problem = _track(place, name, check, {PAGE: framed, **files})
    return Pages(page=f"{folder}/{PAGE}", report=f"{folder}/{REPORT}" if report else "", run=run, problem=problem)


def _report(check: Check, seen: Seen, reference: Reference) -> str | None:
    """Return Evidently's report of a window."""
    from tiltyard.monitoring.report import evidently_report, quality_of  # noqa: PLC0415  # takes seconds

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


def _track(place: Place, name: str, check: Check, files: Mapping[str, bytes]) -> tuple[TrackedRun | None, str]:
    """Give MLflow the pages; when it does not take them, say why: a check must not end for that."""
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {path: Path(folder) / path for path in files}
        for path, content in files.items():
            artifacts[path].parent.mkdir(parents=True, exist_ok=True)
            artifacts[path].write_bytes(content)
        logged = RunContent(
            metrics=_metrics(check), tags=_tags(check), artifacts=artifacts, description=_description(check)
        )
        title = f"version {check.version} until {moment(check.end)}"
        try:
            return log_run(place.registry, f"{check.model}.monitoring", name, logged, name=title), ""
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
