"""What this server has seen of a rollout's present step: the versions' counts since it began, kept over restarts."""

from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError

from tiltyard.evaluation.evidence import ArmCounts
from tiltyard.project.section import Section
from tiltyard.serving.files import write_whole

_FILE = "rollouts.json"


class Count(Section):
    """One version's counts since a moment, from counters that begin anew when the server does.

    Attributes:
        base: The counters at that moment, or nothing since they began anew.
        last: The counters when they were last read.
        carried: What was counted before they began anew.
    """

    base: ArmCounts = ArmCounts()
    last: ArmCounts = ArmCounts()
    carried: ArmCounts = ArmCounts()

    @classmethod
    def since(cls, now: ArmCounts) -> "Count":
        """Return a count that begins with the present counters."""
        return cls(base=now, last=now)

    def after(self, now: ArmCounts) -> "Count":
        """Return the count by the present counters."""
        if now.requests >= self.last.requests:
            return self.model_copy(update={"last": now})
        return Count(last=now, carried=self.carried + self.last.since(self.base))

    @property
    def seen(self) -> ArmCounts:
        """What was counted; a run of errors from before that moment does not count."""
        found = self.carried + self.last.since(self.base)
        recent = self.last.since(self.base)
        return found.model_copy(update={"run_of_errors": min(recent.run_of_errors, recent.errors)})


class Progress(Section):
    """What was seen in one step.

    Attributes:
        start: Number of the ledger's entry that began the rollout.
        step: Number of the step, from 0.
        version: The candidate.
        since: When the step began.
        before: What the champion answered before the rollout began.
        champion: What the champion answered in this step.
        candidate: What the candidate answered in this step.
    """

    start: int
    step: int
    version: int
    since: AwareDatetime
    before: ArmCounts = ArmCounts()
    champion: Count = Count()
    candidate: Count = Count()


class ProgressFile(Section):
    """What was seen, by model.

    Attributes:
        models: By model.
    """

    models: dict[str, Progress] = Field(default_factory=dict)


def read_progress(plan: Path) -> ProgressFile:
    """Return what a server has seen of its rollouts; nothing when there is nothing that can be read.

    Args:
        plan: Path of the server's plan file.
    """
    try:
        return ProgressFile.model_validate_json((plan.parent / _FILE).read_bytes())
    except (OSError, ValidationError):
        return ProgressFile()


def write_progress(plan: Path, progress: ProgressFile) -> None:
    """Write it beside the plan, as a whole or not at all; where that cannot be done, the next look tries again."""
    write_whole(plan.parent / _FILE, progress.model_dump_json())
