"""The replay of a project's history, from its table to what every strategy would have done."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.errors import UsageError
from tiltyard.project.model import Project
from tiltyard.project.monitoring import MonitoringSection
from tiltyard.project.spans import parse_span
from tiltyard.steps.replaying.answers import Answers
from tiltyard.steps.replaying.clock import windows_between
from tiltyard.steps.replaying.loop import Course, Step, run_all
from tiltyard.steps.replaying.outcome import Replay
from tiltyard.steps.replaying.strategies import Never, Policy, Strategy, schedule
from tiltyard.steps.replaying.stream import Stream, make_stream
from tiltyard.steps.replaying.trainer import Trainer
from tiltyard.steps.replaying.watching import Watching

QUICK_FAMILIES = ("linear", "boosting")
"""Families that race where the project names none: a replay trains dozens of times."""

QUICK_TRIALS = 8
"""Trials of one search where nobody says otherwise; counted, so that a replay is the same each time."""


class Plan(NamedTuple):
    """How a history is replayed.

    Attributes:
        first: Share of the rows that the first model is trained on.
        labels_after: How long after its row a label comes, such as `7d`.
        schedules: `monthly`, `weekly`, `14d`: retraining by the calendar, each a strategy.
        ungated: Whether each schedule is also shown with new models taking over unjudged.
        history: How far back is learnt from, in place of `data.history`.
        window: Length of a window, in place of the project's; rows cannot be counted here.
        trials: Trials of one search; in place of the project's.
        seconds: Wall time of one search; in place of the project's.
        seed: Seed of everything random; the project's when None.
    """

    first: float = 0.2
    labels_after: str = "7d"
    schedules: tuple[str, ...] = ("monthly",)
    ungated: bool = False
    history: str | None = None
    window: str | None = None
    trials: int | None = None
    seconds: float | None = None
    seed: int | None = None


def replay(
    frame: pd.DataFrame,
    project: Project,
    contract: Contract,
    plan: Plan,
    *,
    where: str,
    code_folder: Path | None = None,
    tell: Callable[[Step], None] | None = None,
) -> Replay:
    """Run a history through the loop, once for each strategy.

    Args:
        frame: Typed table.
        project: The project; changed as the plan says (`planned`).
        contract: The contract in use.
        plan: How.
        where: Name of the table, for errors.
        code_folder: Folder of the project's own estimators.
        tell: Told how far it is.

    Returns:
        What every strategy would have done; the same for the same arguments where trials limit the searches.

    Raises:
        UsageError: The plan asks for what is not possible.
        ProjectError: There is no time column.
        DataError: There are too few rows to begin with.
        TrainingError: No first model can be trained.
    """
    delay = _span("--labels-after", plan.labels_after)
    for option, text in (("--history", plan.history), ("--window", plan.window)):
        if text:
            _span(option, text)
    project = planned(project, plan)
    stream = make_stream(frame, project, contract, first=plan.first, delay=delay, where=where)
    section = _section(project, plan)
    span = section.span or timedelta(days=7)
    strategies = _strategies(stream, section, plan)
    trainer, answers = Trainer(stream, code_folder), Answers(stream)
    first = trainer.train((0, stream.first))
    course = Course(
        stream=stream,
        windows=tuple(windows_between(stream.start, stream.end, span)),
        training=trainer,
        answers=answers,
        first=first,
        watch=lambda: Watching(answers, section),
        mode=project.gates.mode,
    )
    return Replay(
        name=project.name,
        metric=first.scorecard.primary,
        rows=len(stream.times),
        first_rows=stream.first,
        start=stream.start,
        end=stream.end,
        window=str(section.window),
        labels_after=plan.labels_after,
        history=project.data.history or "",
        first=first.score,
        family=first.model.family,
        tracks=run_all(course, strategies, tell),
    )


def planned(project: Project, plan: Plan) -> Project:
    """Return a project as it is replayed: by the plan's history, and by a quick search.

    The search has the plan's budget, and two strong families where the project names none.

    Args:
        project: The project.
        plan: The plan.
    """
    own = bool(project.search.families or project.search.estimators)
    trials = plan.trials if plan.trials is not None or plan.seconds is not None else QUICK_TRIALS
    search = project.search.model_copy(
        update={
            "seconds": plan.seconds,
            "trials": trials,
            "families": project.search.families if own else QUICK_FAMILIES,
            "seed": project.search.seed if plan.seed is None else plan.seed,
        }
    )
    data = project.data.model_copy(update={"history": plan.history or project.data.history})
    return project.model_copy(update={"search": search, "data": data})


def _span(option: str, text: str) -> timedelta:
    """Return a stretch of time as it was given on the command line.

    Raises:
        UsageError: It is none.
    """
    try:
        return parse_span(text)
    except ValueError as error:
        raise UsageError(str(error), where=option) from None


def _section(project: Project, plan: Plan) -> MonitoringSection:
    """Return how the champion is watched: as the project says, but for what the plan says."""
    window = plan.window or (project.monitoring.window if project.monitoring.span else "7d")
    return project.monitoring.model_copy(update={"window": window, "labels_within": plan.labels_after})


def _strategies(stream: Stream, section: MonitoringSection, plan: Plan) -> Sequence[Strategy]:
    """Return the strategies in the order in which they are shown."""
    mode, start = stream.project.gates.mode, stream.start
    found: list[Strategy] = [Never()]
    for word in dict.fromkeys(plan.schedules):
        found.append(schedule(word, start, mode))
        if plan.ungated:
            found.append(schedule(word, start, mode, judged=False))
    return [*found, Policy(stream.project.name, section.model_copy(update={"retrain": "automatic"}))]


def as_first_seen(contract: Contract, frame: pd.DataFrame) -> Contract:
    """Return a contract that was guessed from a whole history as it would have been guessed at its start.

    Levels and ranges that nobody had seen yet are not promised; kinds stay, so that the whole table can be read.

    Args:
        contract: The contract.
        frame: Typed rows that were known at the start.
    """
    known = tuple(_seen_column(column, frame[column.name]) for column in contract.columns)
    return contract.model_copy(update={"columns": known})


def _seen_column(column: Column, values: "pd.Series[Any]") -> Column:
    present = values.dropna()
    if column.role is Role.TARGET:
        return column
    if column.kind is Kind.CATEGORY and column.levels:
        there = set(present.unique())
        return column.model_copy(update={"levels": tuple(level for level in column.levels if level in there)})
    if column.minimum is None or present.empty:
        return column
    return column.model_copy(update={"minimum": float(present.min()), "maximum": float(present.max())})
