"""What one check of the champion saw; the policy and the record of checks are made of these."""

from pydantic import AwareDatetime

from tiltyard.monitoring.estimate import Estimate
from tiltyard.monitoring.findings import DriftVerdict
from tiltyard.monitoring.performance import Performance
from tiltyard.monitoring.quality import QualityFinding
from tiltyard.project.section import Section


class Observation(Section):
    """What one check of the champion saw in one window.

    Attributes:
        start: First moment of the window.
        end: The moment after its last.
        version: The champion whose reference the window was compared with; None without a champion.
        quality: In what ways the data is broken; empty when it is sound.
        drift: What has drifted; None when that was not looked at.
        performance: How good the champion was in the latest window with labels, which may be an earlier one.
        estimate: How good it probably was in this window.
    """

    start: AwareDatetime
    end: AwareDatetime
    version: int | None = None
    quality: tuple[QualityFinding, ...] = ()
    drift: DriftVerdict | None = None
    performance: Performance | None = None
    estimate: Estimate | None = None

    @property
    def broken(self) -> bool:
        """Whether the window says something about the feed, not about the world."""
        return bool(self.quality)
