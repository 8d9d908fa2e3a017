"""The report that a person reads, drawn by Evidently from our verdict: data drift, data summary, quality with labels.

Evidently tests nothing here. It asks our verdict about every column, so the two cannot contradict each other. It takes
seconds to import: import this module late.
"""

import html
import json
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.terms import Labels
from tiltyard.monitoring.findings import DriftVerdict, Finding
from tiltyard.monitoring.frames import Frames, bare, draw_rows, frames_of, shared_columns, strata_of
from tiltyard.monitoring.labelled import Labelled
from tiltyard.monitoring.reference import Reference
from tiltyard.monitoring.sample import Sample
from tiltyard.monitoring.summary import sentence, strength
from tiltyard.project.metrics import Task

os.environ.setdefault("DO_NOT_TRACK", "1")  # before the import: nothing is told to Evidently's makers
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own imports use what numpy and litestar have given up
    from evidently import BinaryClassification, DataDefinition, Dataset, MulticlassClassification, Regression, Report
    from evidently.core.container import MetricContainer
    from evidently.legacy.calculations.stattests import StatTest
    from evidently.legacy.calculations.stattests.registry import StatTestResult
    from evidently.legacy.model.dashboard import DashboardInfo
    from evidently.legacy.model.widget import AdditionalGraphInfo, BaseWidgetInfo
    from evidently.legacy.renderers.html_widgets import group_widget, table_data
    from evidently.legacy.utils import NumpyEncoder
    from evidently.legacy.utils.dashboard import TemplateParams, file_html_template
    from evidently.presets import ClassificationPreset, DataDriftPreset, DataSummaryPreset, RegressionPreset

MOST_ROWS = 5_000
"""Rows of each side that are drawn; the verdict rests on more."""

MOST_COLUMNS = 50
"""Columns that are drawn: those with findings first."""

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)
_NARROW = ".MuiCard-root { overflow-x: auto !important }"
"""In a narrow frame, as MLflow's, what is too wide can be scrolled to: Evidently cuts it off."""
_NO_DATA = "<!-- no embedded data -->"
_TRUE, _ANSWER = "what was true", "what was answered"
"""Columns of labelled answers; no class is called so, and Evidently names columns after classes."""

_RANKS = {"note": 1, "warning": 2, "alarm": 3}
_DRIFTED = frozenset({"warning", "alarm"})


class Answered(NamedTuple):
    """Answers of the model whose labels are known.

    Attributes:
        y: What was true, shape (n,): class codes, or values in a regression.
        predictions: What the model answered.
    """

    y: Labels
    predictions: Predictions


@dataclass(frozen=True)
class Quality:
    """What the quality of the answers is drawn from.

    Attributes:
        task: What kind of answer the model gives.
        classes: Names of the classes, the positive one second of two; empty for regression.
        current: Labelled answers of the window.
        reference: Those of the champion's own test; None when they are not known.
        threshold: Probability from which the positive class is answered.
    """

    task: Task
    classes: tuple[str, ...]
    current: Answered
    reference: Answered | None = None
    threshold: float = 0.5


def quality_of(reference: Reference, labelled: Labelled | None) -> Quality | None:
    """Return labelled answers beside the champion's own test; None without a label.

    Args:
        reference: What the champion is held against.
        labelled: Its predictions of the window, with the labels that have come.
    """
    if labelled is None or not len(labelled.known):
        return None
    facts = reference.facts
    return Quality(
        task=facts.task,
        classes=tuple(map(str, facts.classes)),
        current=Answered(labelled.y, labelled.predictions),
        reference=Answered(reference.labels, reference.predictions) if reference.test.sampled else None,
        threshold=facts.threshold,
    )


def evidently_report(  # noqa: PLR0913  # two samples, a verdict on them, labels, and how many rows of all this
    reference: Sample,
    current: Sample,
    verdict: DriftVerdict,
    quality: Quality | None = None,
    *,
    title: str = "",
    days: NDArray[Any] | None = None,
    most: int = MOST_ROWS,
    seed: int = 0,
) -> str | None:
    """Draw Evidently's report of a window against its reference.

    A column is shown as drifted when the verdict has a warning or an alarm about it, and no other is; with how it was
    tested and how large the effect is. Nothing is loaded from elsewhere, and nothing of the values is run: whatever a
    client sent as a category is text.

    Args:
        reference: What the champion knows.
        current: The window.
        verdict: Our verdict on the two.
        quality: Answers whose labels are known, when there are any.
        title: What the page is called.
        days: Day of each sampled row of the window; rows are drawn by prediction alone when left out.
        most: Rows of each side that are drawn at most.
        seed: Seed of the draw.

    Returns:
        One HTML page; None when one side has no rows, as there is nothing to draw.
    """
    columns = _drawn_columns(shared_columns(reference, current), verdict)
    if not reference.sampled or not current.sampled or not columns:
        return None
    rows = (
        draw_rows(strata_of(reference), most, seed),
        draw_rows(strata_of(current, days), most, seed),
    )
    groups = [_opening(reference, current, verdict, columns, rows, by_day=days is not None)]
    if verdict.level != "too_few_rows":
        presence = [name for name, found in _gravest(verdict).items() if found.test == "missing"]
        frames = frames_of(reference, current, columns, rows, presence)
        groups.append(_group("Data drift", partial(_drift, frames, verdict)))
    groups.append(_group("Data summary", partial(_summary, frames_of(reference, current, columns, rows))))
    if quality is not None and len(quality.current.y):
        groups.append(_group("Quality of the answers", partial(_quality, quality, most, seed)))
    return _page(title or "Drift and data", groups)


def drifted_columns(verdict: DriftVerdict) -> set[str]:
    """Return the columns that the report shows as drifted: those with a warning or an alarm, both of a pair."""
    return {name for name, found in _gravest(verdict).items() if found.level in _DRIFTED}


def _gravest(verdict: DriftVerdict) -> dict[str, Finding]:
    """Return the worst finding of each column, the worst column first."""
    worst: dict[str, Finding] = {}
    for found in sorted(verdict.findings, key=lambda found: -_RANKS[found.level]):
        for name in filter(None, (found.column, found.other)):
            worst.setdefault(name, found)
    return worst


def _drawn_columns(shared: Sequence[str], verdict: DriftVerdict) -> list[str]:
    """Return the columns that are drawn, those with findings first."""
    named = [name for name in _gravest(verdict) if name in shared]
    rest = [name for name in shared if name not in set(named)]
    return [*named, *rest][:MOST_COLUMNS]


class _Ours(StatTest):  # type: ignore[misc]  # Evidently has no types
    """A test that has been made already: it answers with our verdict about one column.

    Args:
        column: Which.
        found: Its worst finding; None when nothing was found.
    """

    def __init__(self, column: str, found: Finding | None) -> None:
        said = "nothing found" if found is None else f"{found.test.replace('_', ' ')}: {found.level}"
        if found is not None and found.other:
            said = f"correlation with {bare(found.other if column == found.column else found.column)}: {found.level}"
        super().__init__(name=f"tiltyard {column}", display_name=f"Tiltyard, {said}", allowed_feature_types=[])
        self._effect = 0.0 if found is None else abs(found.effect)
        self._drifted = found is not None and found.level in _DRIFTED

    def __call__(self, *_: object, **__: object) -> Any:  # whatever Evidently hands over
        return StatTestResult(drift_score=self._effect, drifted=self._drifted, actual_threshold=0.0)

    __hash__ = StatTest.__hash__


class _Drift(DataDriftPreset):  # type: ignore[misc]
    """Evidently's preset without a second calculation for every column: the table says it all."""

    def generate_metrics(self, context: Any) -> Any:
        return super().generate_metrics(context)[:1]


def _group(title: str, draw: Callable[[], list[BaseWidgetInfo]]) -> BaseWidgetInfo:
    """Return a part of the page, or why it is not there: what cannot be drawn must not end a check."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant columns, empty cells and rare classes, in Evidently's arithmetic
        try:
            widgets = draw()
        except Exception as error:  # noqa: BLE001  # whatever Evidently comes up with
            said = f"Evidently could not draw this ({type(error).__name__}); Tiltyard's verdict does not rest on it."
            widgets = [table_data(title="", column_names=["", ""], data=[("Not drawn", said)])]
    return group_widget(title=title, widgets=widgets)


def _opening(
    reference: Sample,
    current: Sample,
    verdict: DriftVerdict,
    columns: Sequence[str],
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    by_day: bool,
) -> BaseWidgetInfo:
    """Say whose verdict it is, and which part of the rows and columns is drawn."""
    shared = len(shared_columns(reference, current))
    some = f"{len(columns)} of {shared}, those with findings first" if len(columns) < shared else f"all {shared}"
    strata = f"{'every day, and in it ' if by_day else ''}every predicted class, or fifth of the predicted numbers,"
    facts = [
        ("Verdict of Tiltyard", sentence(verdict.sentence).replace("`", "")),
        ("Who decides", "Tiltyard, on all the rows it has. Evidently draws its verdict and tests nothing itself."),
        ("Rows of the window", _part(len(rows[1]), current.rows)),
        ("Rows of the reference", _part(len(rows[0]), reference.rows)),
        ("How they are drawn", f"At random; {strata} keeps its share."),
        ("Columns", f"{some}. Texts are shown by their length, times as days since 1970, rare levels together."),
    ]
    widgets = [table_data(title="", column_names=["", ""], data=facts)]
    if verdict.findings:
        heads = ["Column", "Level", "Test", "Effect", "p", "Finding"]
        widgets.append(table_data(title="Findings", column_names=heads, data=[_row(one) for one in verdict.findings]))
    return group_widget(title="What this is", widgets=widgets)


def _part(drawn: int, rows: int) -> str:
    return f"{drawn:,} drawn of {rows:,}" if drawn < rows else f"all {rows:,}"


def _row(found: Finding) -> list[str]:
    name = bare(found.column) + (f" and {bare(found.other)}" if found.other else "")
    test = found.test.replace("_", " ")
    return [
        name,
        found.level,
        test,
        f"{found.effect:.3g}",
        strength(found.p),
        sentence(found.sentence).replace("`", ""),
    ]


def _drift(frames: Frames, verdict: DriftVerdict) -> list[BaseWidgetInfo]:
    """Return Evidently's drift of the columns, as we found it."""
    gravest = _gravest(verdict)
    tests = {str(name): _Ours(name, gravest.get(name)) for name in frames.current.columns}
    share = max(round(0.5 / len(tests), 4), 0.0001)  # one column is enough, as it is for the verdict
    preset = _Drift(columns=list(tests), per_column_method=tests, drift_share=share)
    return _run(preset, frames)


def _summary(frames: Frames) -> list[BaseWidgetInfo]:
    """Return Evidently's summary of the columns."""
    return _run(DataSummaryPreset(columns=[str(name) for name in frames.current.columns]), frames)


def _run(preset: MetricContainer, frames: Frames) -> list[BaseWidgetInfo]:
    """Let Evidently draw a preset from two tables."""
    definition = DataDefinition(
        numerical_columns=list(frames.numbers),
        categorical_columns=list(frames.categories),
        text_columns=[],
    )
    return _widgets(preset, definition, frames.current, frames.reference)


def _widgets(
    preset: MetricContainer, definition: DataDefinition, current: pd.DataFrame, reference: pd.DataFrame | None
) -> list[BaseWidgetInfo]:
    data = Dataset.from_pandas(current, data_definition=definition)
    beside = None if reference is None else Dataset.from_pandas(reference, data_definition=definition)
    widgets: list[BaseWidgetInfo] = Report([preset]).run(data, beside)._widgets  # noqa: SLF001  # several runs, one page
    return widgets


def _quality(quality: Quality, most: int, seed: int) -> list[BaseWidgetInfo]:
    """Return Evidently's quality of the labelled answers."""
    sides = [side for side in (quality.current, quality.reference) if side is not None]
    tables = [_labelled(quality, side, most, seed) for side in sides]
    names = ("Labelled rows of the window", "Labelled rows of the reference")
    said = [(name, _part(len(table), len(side.y))) for name, table, side in zip(names, tables, sides, strict=False)]
    said.append(("Which figures count", "Tiltyard's, which are of all labelled rows; these are of the drawn ones."))
    if quality.task.is_classification:
        if any(len(np.unique(side.y)) < 2 for side in sides):
            said.append(("Not drawn", "Labels of two classes are needed, and only one has come so far."))
            return [table_data(title="", column_names=["", ""], data=said)]
        threshold = quality.threshold if quality.task is Task.BINARY else None
        definition, preset = _classification(quality), ClassificationPreset(probas_threshold=threshold)
    else:
        task = Regression(target=_TRUE, prediction=_ANSWER)
        definition = DataDefinition(numerical_columns=[_TRUE, _ANSWER], categorical_columns=[], regression=[task])
        preset = RegressionPreset()
    opening = table_data(title="", column_names=["", ""], data=said)
    return [opening, *_widgets(preset, definition, tables[0], tables[1] if len(tables) > 1 else None)]


def _labelled(quality: Quality, answered: Answered, most: int, seed: int) -> pd.DataFrame:
    """Return labelled answers as a table, classes with their own share each."""
    if quality.task is Task.REGRESSION:
        drawn = draw_rows(np.zeros(len(answered.y), np.int64), most, seed)
        return pd.DataFrame({_TRUE: answered.y[drawn], _ANSWER: answered.predictions.array[drawn]})
    drawn = draw_rows(answered.y.astype(np.int64), most, seed)
    names = np.array(quality.classes, dtype=object)
    predicted = answered.predictions.labels(quality.threshold)
    table = {_TRUE: names[answered.y.astype(np.int64)[drawn]], _ANSWER: names[predicted[drawn]]}
    shown = range(1, 2) if quality.task is Task.BINARY else range(len(names))
    return pd.DataFrame(table | {str(names[code]): answered.predictions.array[drawn, code] for code in shown})


def _classification(quality: Quality) -> DataDefinition:
    """Return what the columns of labelled answers are to Evidently; it wants probabilities under the classes' names."""
    names = {"target": _TRUE, "prediction_labels": _ANSWER}
    if quality.task is Task.BINARY:
        positive = quality.classes[1]
        numbers = [positive]
        task = BinaryClassification(**names, prediction_probas=numbers[0], pos_label=positive)
    else:
        numbers = list(quality.classes)
        task = MulticlassClassification(**names, prediction_probas=numbers)
    return DataDefinition(categorical_columns=[_TRUE, _ANSWER], numerical_columns=numbers, classification=[task])


def _page(title: str, groups: Sequence[BaseWidgetInfo]) -> str:
    """Put the parts on Evidently's page.

    Evidently writes values into a script as they are, so that a category such as `</script>` would end it: here they
    are written so that no text can.
    """
    graphs = {
        graph.id: graph.params if isinstance(graph, AdditionalGraphInfo) else graph.dict()
        for group in groups
        for graph in group.get_additional_graphs()
    }
    dashboard = DashboardInfo(name=title, widgets=list(groups))
    params = TemplateParams("tiltyard_report", dashboard, {}, embed_data=False)
    data = f"var tiltyard_report = {_json(dashboard.dict())}; var additional_graphs_tiltyard_report = {_json(graphs)};"
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{html.escape(title)}</title><style>{_NARROW}</style><script>{data}</script>"
    )
    page = file_html_template(params).strip()
    return f"{page}\n".replace(_NO_DATA, head, 1)


def _json(content: Any) -> str:
    """Return content for a script element, without a character that could end it."""
    plain = json.dumps(content, cls=NumpyEncoder)
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
