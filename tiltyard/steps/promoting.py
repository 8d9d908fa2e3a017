"""What follows a verdict: it is written down, and the run's outcome with it."""

from datetime import UTC, datetime
from pathlib import Path

from tiltyard.data.split import SplitSummary
from tiltyard.evaluation.card import CardFacts, render_card
from tiltyard.evaluation.plots import draw_plots
from tiltyard.evaluation.records import Verdict
from tiltyard.project.section import Section
from tiltyard.registry.models import set_tags
from tiltyard.registry.records import Scalar
from tiltyard.registry.tracking import RunContent, log_content
from tiltyard.steps.champion import VERDICT_MODE
from tiltyard.steps.data import REPORT
from tiltyard.steps.judging import Evaluation, test_answers
from tiltyard.steps.place import Place
from tiltyard.steps.registering import Registered, note_once
from tiltyard.steps.run import TrainingOutcome, TrainingRun
from tiltyard.steps.training import FittedRef

CARD = "card.html"


class Documented(Section):
    """Where the verdict was written down.

    Attributes:
        card: The model card on this machine.
    """

    card: Path


def document(
    run: TrainingRun,
    *,
    fitted: FittedRef,
    parts: SplitSummary,
    registered: Registered,
    evaluation: Evaluation,
    verdict: Verdict,
) -> Documented:
    """Write the plots, the model card, the version's tags and the ledger's entry about a verdict.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    place = Place(run.project, run.workplace)
    card = _write_card(run, fitted, parts, evaluation, verdict, registered=registered)
    tags = {"tiltyard.verdict": verdict.outcome, "tiltyard.verdict_sentence": verdict.sentence}
    tags[VERDICT_MODE] = verdict.mode
    content = RunContent(artifacts={CARD: card, "plots": run.folder / "plots"}, tags=tags)
    log_content(place.registry, registered.tracked, content)
    set_tags(place.registry, registered.ref, tags)
    note_once(run, "judged", registered.ref, reason=verdict.sentence, evidence=evidence_of(verdict, evaluation))
    return Documented(card=card)


def sketch(
    run: TrainingRun, *, fitted: FittedRef, parts: SplitSummary, evaluation: Evaluation, verdict: Verdict
) -> Documented:
    """Write the plots and the model card of a challenger that is not registered."""
    return Documented(card=_write_card(run, fitted, parts, evaluation, verdict))


def _write_card(  # what a card tells
    run: TrainingRun,
    fitted: FittedRef,
    parts: SplitSummary,
    evaluation: Evaluation,
    verdict: Verdict,
    *,
    registered: Registered | None = None,
) -> Path:
    """Write the plots and the model card into the run's folder; return the card."""
    y, predictions = test_answers(run, fitted)
    plots = draw_plots(evaluation.challenger, y, predictions, verdict)
    for name, picture in plots.items():
        run.file(f"plots/{name}.png").write_bytes(picture)
    page = render_card(
        _card_facts(run, fitted, parts, registered),
        run.contract,
        evaluation.challenger,
        champion=evaluation.champion,
        verdict=verdict,
        plots=plots,
    )
    card = run.file(CARD)
    card.write_text(page, encoding="utf-8")
    return card


def _card_facts(run: TrainingRun, fitted: FittedRef, parts: SplitSummary, registered: Registered | None) -> CardFacts:
    """Return what the card says beside scores and verdict."""
    facts = (
        ("Rows", f"{run.dataset.rows:,}"),
        ("Split", parts.sentence),
        ("Data fingerprint", run.dataset.fingerprint),
        ("Contract", run.contract.digest),
        ("Training run", run.key),
        ("MLflow run", registered.tracked.run if registered else "none, this was a dry run"),
        ("Reason", run.reason or "not given"),
    )
    return CardFacts.of(
        run.project,
        version=str(registered.ref.version) if registered else "not registered",
        model=fitted.family,
        created=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        facts=facts,
    )


def outcome_of(
    run: TrainingRun,
    registered: Registered | None,
    evaluation: Evaluation,
    verdict: Verdict,
    *,
    card: Path,
    promoted: bool,
) -> TrainingOutcome:
    """Sum up a finished run; one that registered nothing was a dry run."""
    return TrainingOutcome(
        project=run.project.name,
        run_key=run.key,
        version=registered.ref.version if registered else None,
        verdict=verdict,
        scorecard=evaluation.challenger,
        champion_before=champion_number(evaluation),
        promoted=promoted,
        mlflow_run=registered.tracked.run if registered else None,
        card=card,
        report=run.folder / REPORT,
        finished=datetime.now(UTC),
    )


def champion_number(evaluation: Evaluation) -> int | None:
    """Return the version that the challenger was compared with."""
    return None if evaluation.evidence.champion is None else int(evaluation.evidence.champion)


def evidence_of(verdict: Verdict, evaluation: Evaluation) -> dict[str, Scalar]:
    """Return the figures behind a verdict, for the ledger.

    Args:
        verdict: What the gate decided.
        evaluation: What was measured.
    """
    figures: dict[str, Scalar] = {
        "verdict": verdict.outcome,
        "mode": verdict.mode,
        "metric": verdict.metric,
        "champion": champion_number(evaluation),
        "rows": verdict.rows,
        "p_value": verdict.p_value,
        "detectable": verdict.detectable,
    }
    if verdict.difference:
        difference = verdict.difference
        figures |= {"difference": difference.value, "low": difference.low, "high": difference.high}
    return figures
