"""The search: families race in one study, on all cores, within a budget of time or trials."""

import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from tiltyard.project.model import SearchSection
from tiltyard.training.bench import Bench, Job, Outcome
from tiltyard.training.crew import Crew
from tiltyard.training.families import facts_of, racing_families
from tiltyard.training.journal import Journal, locked, study_name
from tiltyard.training.problem import Problem, Progress, SearchResult, TrialRecord
from tiltyard.training.proposal import GENERATION, Arena, Proposal, Standing
from tiltyard.training.samplers import make_sampler
from tiltyard.training.trial import Trial
from tiltyard.training.winner import best_of, summary

TICK = 0.25
"""Seconds between two looks at the clock."""

RUNAWAY = 8.0
"""A fit that takes this many times its estimate is killed, when time is limited."""

LARGE_ROWS, LARGE_FOLDS = 200_000, 2
"""Rows from which on two folds are enough to tell models apart, and more would only fill the disk."""

CHEAP = ("dummy", "linear", "tree")
"""Families that are fitted here while the workers start; they take a fraction of a second on a screening's rows."""

UNKNOWN_SHARE, UNKNOWN_LEAST = 0.12, 1.0
"""Share of the time left, and seconds, that a fit of a family of unknown cost may take."""

FIRST_SHARE, FIRST_LEAST = 0.25, 2.5
"""The same while no strong family has a score: without one, the time that is saved is good for nothing."""


def search(
    problem: Problem, settings: SearchSection, folder: Path, on_progress: Callable[[Progress], None] | None = None
) -> SearchResult:
    """Find the best family and its parameters within the budget.

    With a time budget the search ends on time, workers' start included, whatever still runs. With a budget of trials
    alone it is deterministic: same problem and settings, same trials, scores and winner, with any number of workers.
    A search killed at any moment and started again on the same folder goes on where it was.

    Args:
        problem: What to learn.
        settings: Families, sampler, budget.
        folder: Where the journal and the arrays of the workers are kept; used by one search at a time.
        on_progress: Called about four times a second and after each trial.

    Returns:
        The winner and everything tried.

    Raises:
        TrainingError: No trial succeeded, an own estimator is unusable, or the disk is full.
    """
    started = time.monotonic()
    if len(problem.y) >= LARGE_ROWS:
        problem = replace(problem, folds=problem.folds[:LARGE_FOLDS])
    families = {family.name: family for family in racing_families(settings, problem)}
    facts = facts_of(problem, min(len(train) for train, _ in problem.folds))
    workers = settings.workers or _cores()
    arena = Arena(families, facts, len(problem.folds), problem.metric, settings.trials, workers)
    with locked(folder), _crew(folder / "arrays", workers) as crew:
        journal = Journal(folder, study_name(problem, settings), problem.metric, list(families))
        run = _Run(arena, settings, journal, started, on_progress)
        budget = f"{settings.wall_seconds} s, {settings.trials} trials"
        if journal.finished != budget and (run.left is None or run.left > 0):
            bench = Bench.write(problem, folder / "arrays")
            crew.equip(bench)
            run.work(crew, bench)
            journal.finish(budget)
        return run.result()


@contextmanager
def _crew(folder: Path, workers: int) -> Iterator[Crew]:
    """Start the workers, so that they import what they need while all else is prepared; clean up behind them."""
    try:
        with Crew(folder, workers) as crew:
            yield crew
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Run:
    """One run of a search, from the first proposal to the deadline.

    Args:
        arena: What does not change.
        settings: Sampler and budget.
        journal: Record of finished trials.
        started: Monotonic time of the start.
        on_progress: Listener.
    """

    def __init__(
        self,
        arena: Arena,
        settings: SearchSection,
        journal: Journal,
        started: float,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.arena = arena
        self.journal = journal
        self.records = journal.records()
        self.resumed = len(self.records)
        self.on_progress = on_progress
        self.seconds_limit = settings.wall_seconds
        self.sampler = make_sampler(settings.sampler, arena, settings.seed)
        self.live: dict[int, Trial] = {}
        self.limits: dict[int, float] = {}
        self.known = max((record.known for record in self.records.values()), default=0)
        self._before = max((record.finished for record in self.records.values()), default=0.0)
        self._started = started
        self._ended: float | None = self._before if self.resumed else None

    @property
    def seconds(self) -> float:
        """Wall time of the search, earlier runs included."""
        return self._before + time.monotonic() - self._started

    @property
    def left(self) -> float | None:
        """Seconds left; None when only trials are counted."""
        return None if self.seconds_limit is None else self.seconds_limit - self.seconds

    def work(self, crew: Crew, bench: Bench) -> None:
        """Run trials until the budget is used up or there is nothing more to try.

        What an earlier run had no time for is tried anew.
        """
        self.records = {number: one for number, one in self.records.items() if not one.was_cut}
        self._begin(crew, bench)
        while self.left is None or self.left > 0:
            self._hand_out(crew)
            if not crew.running:
                break
            outcome = crew.next(TICK if self.left is None else max(0.0, min(TICK, self.left)))
            if outcome is not None:
                self._take(outcome)
            self._stop_runaways(crew)
            self._tell()
        for trial in list(self.live.values()):
            trial.cut()
            if not trial.failed and (trial.outcomes or (trial.started and trial.proposal.screening)):
                self._finish(trial)
        self._ended = self.seconds

    def _begin(self, crew: Crew, bench: Bench) -> None:
        """Wait for the workers; when time is limited, use the wait for what is cheap.

        So there is an answer even where the machine is too busy to start the workers in time.
        """
        while self.left is not None and self.left > 0 and not crew.wait_ready(0.0):
            trial = self._propose()
            job = trial.next_job() if trial is not None else None
            if job is None or job.family not in CHEAP:
                break
            self.live[job.trial].started.add(job.fold)
            with threadpool_limits(1):
                self._take(bench.run(job))
            self._tell()
        crew.wait_ready(None if self.left is None else max(0.0, self.left))

    def result(self) -> SearchResult:
        """Return the winner and everything tried."""
        trials = tuple(self.records[number] for number in sorted(self.records))
        seconds = self.seconds if self._ended is None else self._ended
        best = best_of(trials, self.arena.metric)
        assert best.score is not None
        return SearchResult(
            family=best.family,
            parameters=best.parameters,
            iterations=best.iterations,
            score=best.score,
            metric=self.arena.metric,
            trials=trials,
            seconds=seconds,
            resumed=self.resumed,
            sentence=summary(best, trials, self.arena.metric, seconds, self._late(trials)),
        )

    def _late(self, trials: tuple[TrialRecord, ...]) -> list[str]:
        """Return the families that could not be scored in the time."""
        if self.seconds_limit is None or (self.arena.trials is not None and len(trials) >= self.arena.trials):
            return []
        settled = {one.family for one in trials if one.score is not None or one.state == "failed"}
        return [name for name in self.arena.families if name not in settled]

    def _hand_out(self, crew: Crew) -> None:
        """Give every idle worker something to do, as long as there is something."""
        while crew.has_idle:
            job = self._next_job()
            if job is None:
                return
            self.live[job.trial].started.add(job.fold)
            self.limits[crew.start(job)] = time.monotonic() + self._longest(job)

    def _next_job(self) -> Job | None:
        """Return the next fold of a trial that runs, or else the first of a new one."""
        for trial in sorted(self.live.values(), key=lambda one: one.number):
            job = trial.next_job()
            if job is not None and self._fits(job):
                return job
            if job is not None:
                trial.cut()
            if trial.is_done:
                self._finish(trial)
        while (trial_or_none := self._propose()) is not None:
            job = trial_or_none.next_job()
            if job is not None:
                return job
            self._finish(trial_or_none)
        return None

    def _fits(self, job: Job) -> bool:
        """Whether a further fold will end before the deadline."""
        cost = self._standing().seconds(job.family, job.parameters, job.rows)
        return self.left is None or cost is None or cost < self.left

    def _longest(self, job: Job) -> float:
        """Return after how many seconds a fit is taken for a runaway."""
        if self.left is None:
            return float("inf")
        standing = self._standing()
        cost = standing.seconds(job.family, job.parameters, job.rows)
        if cost is not None:
            return RUNAWAY * cost + 2.0
        if standing.lacks_strong:
            return max(FIRST_SHARE * self.left, FIRST_LEAST)
        return max(UNKNOWN_SHARE * self.left, UNKNOWN_LEAST)

    def _propose(self) -> Trial | None:
        """Start the next trial, when there is one to start."""
        number = next(free for free in itertools.count() if free not in self.records and free not in self.live)
        if self.arena.trials is not None and number >= self.arena.trials:
            return None
        if self.left is None and number - self.known >= GENERATION and not self._close_generation(number):
            return None
        proposal = self.sampler.propose(self._standing(number))
        if proposal is None and self.known < number and self.left is None and self._close_generation(number):
            proposal = self.sampler.propose(self._standing(number))
        if proposal is None:
            return None
        trial = Trial(number, proposal, known=self.known)
        trial.remember(self._standing(number).history, self.arena.facts.rows)
        self.live[number] = trial
        self._judge(trial)
        return trial

    def _close_generation(self, number: int) -> bool:
        """Make all results known, once none is outstanding."""
        if self.live:
            return False
        self.known = number
        return True

    def _standing(self, number: int = 0) -> Standing:
        """Return what may be known: all results, or those of earlier generations where only trials count."""
        history, running = tuple(self.records.values()), [self.live[one].proposal for one in sorted(self.live)]
        if self.left is None:
            same = [one for one in range(self.known, number) if one in self.records or one in self.live]
            running = [_proposal(self.records[one]) if one in self.records else self.live[one].proposal for one in same]
            history = tuple(record for record in history if record.number < self.known)
        return Standing(self.arena, number, history, tuple(running), self.left)

    def _take(self, outcome: Outcome) -> None:
        """Take an outcome in, and give its trial up when it has shown to be no good."""
        trial = self.live[outcome.job.trial]
        trial.outcomes[outcome.job.fold] = outcome
        self._judge(trial)
        if trial.is_done:
            self._finish(trial)

    def _judge(self, trial: Trial) -> None:
        standing = self._standing()
        ranked = standing.ranked(screening=False)
        own = [one for one in ranked if one.family == trial.proposal.family]
        trial.judge([*own[:1], *ranked[:1]], self.arena.metric, standing.tolerance)

    def _finish(self, trial: Trial) -> None:
        """Record a trial that runs no longer."""
        record = trial.record(self.seconds)
        del self.live[trial.number]
        self.records[record.number] = record
        self.journal.append(record, self.arena.families[record.family].space(self.arena.facts))

    def _stop_runaways(self, crew: Crew) -> None:
        """Kill fits that take far longer than they should, so that one bad estimate cannot eat the budget."""
        for slot, job in list(crew.running.items()):
            if time.monotonic() > self.limits[slot]:
                crew.replace(slot)
                trial = self.live[job.trial]
                trial.started.discard(job.fold)
                trial.cut()
                if trial.is_done:
                    self._finish(trial)

    def _tell(self) -> None:
        if self.on_progress is None:
            return
        scored = [record for record in self.records.values() if record.state == "complete"]
        best = best_of(tuple(scored), self.arena.metric) if scored else None
        self.on_progress(
            Progress(
                trials=len(self.records),
                trials_limit=self.arena.trials,
                seconds=self.seconds,
                seconds_limit=self.seconds_limit,
                metric=self.arena.metric,
                score=best.score if best else None,
                family=best.family if best else "",
            )
        )


def _proposal(record: TrialRecord) -> Proposal:
    """Return a finished trial as the proposal it was."""
    return Proposal(record.family, record.parameters, record.folds, screening=record.screening)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
