"""What runs show in Prefect's UI: findings, leaderboard, scores, verdict and links, and progress; checks.

None of it is part of the work: when Prefect does not take an artifact, the run goes on, and its log says so.
"""

import base64
import contextvars
import functools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, ParamSpec, Self
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tiltyard.evaluation.plots import draw_scores
from tiltyard.evaluation.records import Verdict
from tiltyard.monitoring.page import render_markdown
from tiltyard.monitoring.summary import moment
from tiltyard.registry.rollout import Rollout
from tiltyard.registry.tracking import artifact_url
from tiltyard.steps import pages
from tiltyard.steps.data import CheckSummary
from tiltyard.steps.judging import Evaluation
from tiltyard.steps.monitoring import Checked
from tiltyard.steps.place import Place
from tiltyard.steps.progress import listening
from tiltyard.steps.promoting import CARD, Documented
from tiltyard.steps.registering import Registered
from tiltyard.steps.rolling_out import look
from tiltyard.steps.run import TrainingRun
from tiltyard.training.problem import Progress, SearchResult

P = ParamSpec("P")

EVERY_SECONDS = 2.0
"""Least time between two updates of the progress."""


def key_of(project: str, name: str) -> str:
    """Return the key under which Prefect keeps the history of a project's artifacts, such as `churn-verdict`.

    Prefect allows lower case, digits and dashes.
    """
    return f"{project.replace('_', '-')}-{name}"


def _harmless(show: Callable[P, None]) -> Callable[P, None]:
    """Let a run go on when Prefect does not take what it shows."""

    @functools.wraps(show)
    def shown(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            show(*arguments, **options)
        except Exception as error:  # noqa: BLE001  # whatever Prefect's server and client come up with
            get_run_logger().warning("Prefect did not take the artifact of `%s` (%s).", show.__name__, error)

    return shown


@_harmless
def show_validation(run: TrainingRun, summary: CheckSummary) -> None:
    """Show what the checks found in the table."""
    page, short = pages.validation(run, summary), pages.findings_in_short(summary)
    _publish(run.project.name, "validation", "markdown", page, short)


@_harmless
def show_leaderboard(run: TrainingRun, result: SearchResult) -> None:
    """Show the best of what the search tried."""
    _publish(run.project.name, "leaderboard", "table", json.dumps(pages.leaderboard_rows(result)), result.sentence)


@_harmless
def show_scores(run: TrainingRun, evaluation: Evaluation) -> None:
    """Show the scores of challenger and champion, as a picture."""
    picture = base64.b64encode(draw_scores(evaluation.challenger, evaluation.champion)).decode()
    said = pages.score_in_words(evaluation.challenger)
    _publish(run.project.name, "scores", "image", f"data:image/png;base64,{picture}", said)


@_harmless
def show_verdict(
    run: TrainingRun,
    registered: Registered | None,
    evaluation: Evaluation,
    verdict: Verdict,
    documented: Documented,
) -> None:
    """Show what the gate decided, why, and where everything is written down."""
    page = pages.verdict_page(run, registered, evaluation, verdict, documented)
    _publish(run.project.name, "verdict", "markdown", page, verdict.sentence)


@_harmless
def show_links(run: TrainingRun, registered: Registered) -> None:
    """Show the way to the MLflow run and to the model card; there is none to a registry that is only a file."""
    tracked = registered.tracked
    if not tracked.url:
        return
    version = f"{run.project.name} version {registered.ref.version}"
    evidence = f"[MLflow run of {version}]({tracked.url})"
    _publish(
        run.project.name,
        "mlflow-run",
        "markdown",
        evidence,
        f"All evidence of {version}: parameters, scores, trials, files.",
    )
    card = f"[Model card of {version}]({artifact_url(tracked, CARD)})"
    said = f"What {version} is for, what it is worth, and on whom it does worst."
    _publish(run.project.name, "model-card", "markdown", card, said)


@_harmless
def show_rollout(place: Place, rollout: Rollout) -> None:
    """Show how a rollout has gone so far, step by step."""
    view = look(place, rollout)
    rows = json.dumps(pages.rollout_rows(view, place.ledger.entries()))
    said = f"{view.rollout.sentence[:1].upper()}{view.rollout.sentence[1:]}."
    _publish(place.project.name, "rollout", "table", rows, said)


@_harmless
def show_check(checked: Checked) -> None:
    """Show what a check found: our page first, then the way to it and to Evidently's report."""
    check, links = checked.check, checked.pages.links
    page = render_markdown(check, links=links)
    _publish(check.model, "monitoring", "markdown", page, checked.summary.headline)
    if links:
        named = "\n".join(f"- [{name}](<{address}>)" for name, address in links)
        said = f"Pages of the check until {moment(check.end)}, with pictures and every column."
        _publish(check.model, "monitoring-pages", "markdown", named, said)


def _publish(project: str, name: str, kind: Literal["markdown", "table", "image"], data: str, description: str) -> None:
    """Give Prefect an artifact, unless this flow run has it already from before it was retried or resumed."""
    key, flow_run_id = key_of(project, name), UUID(str(flow_run.id))
    same = ArtifactFilter(key=ArtifactFilterKey(any_=[key]), flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        if any(found.data == data for found in client.read_artifacts(artifact_filter=same)):
            return
        client.create_artifact(
            ArtifactCreate(key=key, type=kind, data=data, description=description, flow_run_id=flow_run_id)
        )


@contextmanager
def search_shown(run: TrainingRun) -> Iterator[None]:
    """Show how far the search inside is."""
    reporter = _Reporter(key_of(run.project.name, "search"))
    with listening(reporter), reporter:
        yield


class _Reporter:
    """Tells Prefect the newest progress, from a thread of its own: a slow server must not slow the search.

    Args:
        key: Key of the artifact.
    """

    def __init__(self, key: str) -> None:
        self._artifact = ArtifactCreate(key=key, type="progress", flow_run_id=UUID(str(flow_run.id)))
        self._newest: Progress | None = None
        self._ended = threading.Event()
        context = contextvars.copy_context()  # Prefect's settings
        self._thread = threading.Thread(target=context.run, args=(self._report,), name="progress", daemon=True)

    def __call__(self, progress: Progress | int) -> None:
        """Take note of how far the search is."""
        if isinstance(progress, Progress):
            self._newest = progress

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=5 * EVERY_SECONDS)

    @_harmless
    def _report(self) -> None:
        """Tell Prefect what is new, until the search has ended."""
        told: Progress | None = None
        identity: Any = None
        with get_client(sync_client=True) as client:
            ended = False
            while not ended:
                ended = self._ended.wait(EVERY_SECONDS)
                newest = self._newest
                if newest is not None and newest is not told:
                    identity = self._tell(client, identity, newest, ended=ended)
                    told = newest

    def _tell(self, client: SyncPrefectClient, identity: UUID | None, progress: Progress, *, ended: bool) -> UUID:
        """Bring the artifact up to date, and make it the first time; return its id."""
        share, words = pages.progress_in_words(progress)
        percent = 100.0 if ended else round(100 * share, 1)
        if identity is None:
            made = self._artifact.model_copy(update={"data": percent, "description": words})
            return client.create_artifact(made).id
        client.update_artifact(identity, ArtifactUpdate(data=percent, description=words))
        return identity
