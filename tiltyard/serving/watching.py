"""Watching a candidate: what workers and shadow of this server have seen of it in the present step of its rollout."""

from collections.abc import Callable
from datetime import datetime

from tiltyard.evaluation.evidence import ArmCounts, Evidence, PairedCounts
from tiltyard.evaluation.rollout import Pulse
from tiltyard.serving.counting import metrics_folder
from tiltyard.serving.metrics import Arm, arm_counts
from tiltyard.serving.plan import CandidatePlan, SlotPlan
from tiltyard.serving.progress import Count, Progress, read_progress, write_progress
from tiltyard.serving.roll_call import read_reports
from tiltyard.serving.settings import SidecarSettings
from tiltyard.serving.shadow import ShadowCounts, read_state


class Watch:
    """Gathers the evidence of one server; asks neither registry nor store.

    Args:
        settings: Of the sidecar.
        clock: Source of times, with a time zone.
    """

    def __init__(self, settings: SidecarSettings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._pulses: dict[tuple[str, int, int], Pulse] = {}
        self._progress = read_progress(settings.plan)

    def evidence(self, name: str, champion: SlotPlan, candidate: CandidatePlan, since: datetime) -> Evidence:
        """Return what this server has seen in the present step.

        Args:
            name: The model.
            champion: Its champion.
            candidate: Its candidate.
            since: When the step began.
        """
        progress = self._updated(name, champion, candidate, since)
        shadow = read_state(self._settings.plan).models.get(name)
        mine = shadow is not None and _place(shadow) == _place(progress)
        seen, asked = progress.champion.seen, progress.candidate.seen
        key = (name, candidate.start, candidate.step)
        pulse = self._pulses[key] = self._pulses.get(key, Pulse()).after(seen, asked, candidate.slow_ms)
        return Evidence(
            rollout=candidate.start,
            step=candidate.step,
            seconds=max(0.0, (self._clock() - progress.since).total_seconds()),
            champion=progress.before if candidate.strategy == "blue_green" else seen,
            candidate=asked,
            paired=shadow.paired if shadow is not None and mine else PairedCounts(),
            non_finite=shadow.non_finite if shadow is not None and mine else 0,
            failed_load=self._failed_load(name) or (shadow.failed_load if shadow is not None and mine else ""),
            slow_looks=pulse.slow,
        )

    def _updated(self, name: str, champion: SlotPlan, candidate: CandidatePlan, since: datetime) -> Progress:
        """Bring what was seen up to the present counters."""
        counts = arm_counts(metrics_folder(self._settings.plan))
        ours = counts.get(Arm(name, champion.version, "champion"), ArmCounts())
        theirs = counts.get(Arm(name, candidate.slot.version, "candidate"), ArmCounts())
        known = self._progress.models.get(name)
        if known is not None and _place(known) == (candidate.start, candidate.step, candidate.slot.version):
            counted = {"champion": known.champion.after(ours), "candidate": known.candidate.after(theirs)}
            progress = known.model_copy(update=counted)
        else:
            goes_on = known is not None and known.start == candidate.start
            progress = Progress(
                start=candidate.start,
                step=candidate.step,
                version=candidate.slot.version,
                since=since,
                before=known.before if known is not None and goes_on else ours.model_copy(update={"run_of_errors": 0}),
                champion=Count.since(ours),
                candidate=Count.since(theirs),
            )
        if progress != known:
            self._progress = self._progress.model_copy(update={"models": {**self._progress.models, name: progress}})
            write_progress(self._settings.plan, self._progress)
        return progress

    def _failed_load(self, name: str) -> str:
        """Return why a worker could not load the candidate; empty when all could."""
        reports = read_reports(self._settings.plan, self._settings.parent)
        return next((report.failed[name] for report in reports if name in report.failed), "")


def _place(found: Progress | ShadowCounts) -> tuple[int, int, int]:
    """Return rollout, step and version of what was seen."""
    return found.start, found.step, found.version
