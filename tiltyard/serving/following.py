"""Following the plan: whenever its file has changed, what is new in it is loaded beside what answers.

With a budget of memory, models are loaded when somebody asks for them, and those that were not asked for the longest
time make room; a model with a candidate stays.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Mapping

from tiltyard.errors import ServingError, TiltyardError
from tiltyard.project.environment import Environment
from tiltyard.serving.loading import Loaded, next_served
from tiltyard.serving.plan import Plan, Stamp, read_plan, stamp_of
from tiltyard.serving.reports import report_of, write_report
from tiltyard.serving.settings import WorkerSettings
from tiltyard.serving.slots import Served, Slot

RETRY_SECONDS = 5.0
PATIENCE_SECONDS = 15.0
"""How long a worker waits for a whole plan, before it says to whoever asks what is not there."""

LONGEST_SECONDS = 60.0
"""How long it waits for a sidecar that has not looked even once: a busy machine takes long to start one."""

_log = logging.getLogger(__name__)


class PlanFollower:
    """Loads what the plan file says.

    Args:
        settings: Names, the plan's path, and the budget of memory.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._seen: Stamp | None = None
        self._retry_at = math.inf
        self._key = Environment().key
        self._plan = Plan()

    def due(self) -> bool:
        """Whether the file has changed, or a version that could not be loaded deserves another try."""
        return stamp_of(self._settings.plan) != self._seen or time.monotonic() >= self._retry_at

    def is_worth_waiting(self, seconds: float) -> bool:
        """Whether the plan may soon say more of this server's models than it does.

        Args:
            seconds: How long the worker has waited.
        """
        try:
            plan = read_plan(self._settings.plan)
        except ServingError:
            plan = Plan()
        if plan.covers(self._settings.names):
            return False
        return seconds < (PATIENCE_SECONDS if plan.begun else LONGEST_SECONDS)

    def load(self, served: Served) -> Served:
        """Read the plan and load what is new beside what answers.

        Args:
            served: What answers now; left as it is.

        Returns:
            What should answer from now on: versions that could not be loaded leave their models' slots as they were.
        """
        self._seen, self._retry_at = stamp_of(self._settings.plan), math.inf
        try:
            self._plan = read_plan(self._settings.plan)
        except ServingError as error:
            _log.error("%s", error)
            return served
        lazy = self._settings.memory_mb is not None
        loaded = next_served(served, self._plan, self._key, lazy=lazy)
        return self._settled(loaded, ())

    def fetch(self, served: Served, name: str) -> Served:
        """Load one model that somebody asks for, and make room for it.

        Args:
            served: What answers now; left as it is.
            name: The model.

        Returns:
            What should answer from now on.
        """
        if name in served.slots or name not in self._plan.models:
            return served
        alone = dataclasses.replace(served, names=(name,))
        served_alone, problems = next_served(alone, self._plan, self._key)
        waiting = {other: plan for other, plan in served.waiting.items() if other not in served_alone.slots}
        after = dataclasses.replace(
            served,
            slots=served_alone.slots,
            candidates={**served.candidates, **served_alone.candidates},
            previous={**served.previous, **served_alone.previous},
            waiting=waiting,
        )
        return self._settled(Loaded(after, problems), (name,))

    def _settled(self, loaded: Loaded, wanted: tuple[str, ...]) -> Served:
        """Note what could not be loaded, and give up what there is no room for."""
        served, problems = loaded
        for (_, arm), problem in problems.items():
            _log.error("%s", problem, exc_info=None if isinstance(problem, TiltyardError) else problem)
            if arm != "previous":
                self._retry_at = time.monotonic() + RETRY_SECONDS
        told = {key: _told(self._version(key), problem) for key, problem in problems.items()}
        failed = {name: sentence for (name, arm), sentence in told.items() if arm == "champion"}
        served = dataclasses.replace(served, failed=failed)
        if self._settings.memory_mb is not None:
            served = self._within(served, self._settings.memory_mb, wanted)
        candidates = {name: sentence for (name, arm), sentence in told.items() if arm == "candidate"}
        write_report(self._settings.plan, report_of(served, candidates))
        return served

    def _version(self, key: tuple[str, str]) -> int:
        """Return the planned version of a model and what it stands for."""
        name, arm = key
        if arm == "candidate":
            return self._plan.candidates[name].slot.version
        return (self._plan.previous if arm == "previous" else self._plan.models)[name].version

    def _within(self, served: Served, megabytes: float, wanted: tuple[str, ...]) -> Served:
        """Return the table without what was not asked for the longest time, as far as the budget wants it."""
        leaving = to_leave(served, megabytes, wanted)
        if not leaving:
            return served
        _log.info("out of memory, until somebody asks for them: %s", ", ".join(sorted(leaving)))
        waiting = {name: self._plan.models[name] for name in leaving if name in self._plan.models}
        return dataclasses.replace(
            served,
            slots=_but(served.slots, leaving),
            previous=_but(served.previous, leaving),
            waiting={**served.waiting, **waiting},
        )


def to_leave(served: Served, megabytes: float, wanted: tuple[str, ...] = ()) -> frozenset[str]:
    """Return the models that make room, those first that were not asked for the longest time.

    Args:
        served: What is in memory.
        megabytes: What may be.
        wanted: Models that stay, beside those with a candidate: they are answered for even beyond the budget.
    """
    pinned = {*served.candidates, *wanted}
    used = served.used or {}
    order = sorted((name for name in served.slots if name not in pinned), key=lambda name: used.get(name, 0.0))
    excess = sum(_weight(served, name) for name in served.slots) - megabytes
    leaving: list[str] = []
    for name in order:
        if excess <= 0:
            break
        leaving.append(name)
        excess -= _weight(served, name)
    return frozenset(leaving)


def _weight(served: Served, name: str) -> float:
    """Return the memory of a model with all its versions."""
    return served.slots[name].megabytes + sum(slot.megabytes for slot in served.beside(name))


def _but(slots: Mapping[str, Slot], names: frozenset[str]) -> dict[str, Slot]:
    return {name: slot for name, slot in slots.items() if name not in names}


def _told(version: int, problem: Exception) -> str:
    """Say to clients why a version cannot be loaded; places on this machine are for its log alone."""
    if isinstance(problem, TiltyardError):
        return f"Version {version} cannot be loaded here: {problem.what}. {problem.cure}".rstrip()
    return f"Version {version} cannot be loaded here; the server's log has the reason."
