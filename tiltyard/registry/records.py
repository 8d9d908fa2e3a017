"""What the registry tells the rest of the house: small frozen records."""

from typing import Literal

from tiltyard.project.section import Section

CHAMPION = "champion"
CHALLENGER = "challenger"

BUNDLE_DIGEST = "tiltyard.bundle_digest"
"""Tag of a version: digest of its bundle's manifest. Set at registration; a bundle that differs is never served."""

Scalar = str | int | float | bool | None


class ModelRef(Section):
    """One version of a registered model.

    Attributes:
        name: Name of the registered model, which is the project's.
        version: Its number.
    """

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


class Glance(Section):
    """What one look at a registered model tells.

    Attributes:
        made: When the model was made, milliseconds since 1970; 0 when there is none of this name.
        champion: Version with the alias `champion`; None when no version has it.
        newest: Highest version there is; 0 when there is none.
    """

    made: int = 0
    champion: int | None = None
    newest: int = 0


class VersionInfo(Section):
    """What the registry knows about a version.

    Attributes:
        ref: Which version.
        run: MLflow run it comes from; empty when there is none.
        tags: Its tags, those of Tiltyard beginning with `tiltyard.`.
        aliases: Aliases that point to it.
        description: Its description in words.
        source: Where its files came from, as MLflow was told; `models:/NAME/VERSION` for a copy of a version.
        created: Milliseconds since 1970, UTC.
    """

    ref: ModelRef
    run: str
    tags: dict[str, str]
    aliases: tuple[str, ...]
    description: str
    source: str
    created: int


class TrackedRun(Section):
    """The MLflow run of one training run.

    Attributes:
        experiment: Id of the experiment.
        run: Id of the run.
        url: Page of the run in the MLflow UI; empty for an embedded registry, which has none.
        found: Whether the run was there already, from before an interruption.
    """

    experiment: str
    run: str
    url: str = ""
    found: bool = False


class ChildRun(Section):
    """One trial of the search, as it is logged.

    Attributes:
        name: Name shown in the UI, such as `0012 boosting`.
        parameters: What was tried.
        metrics: What came of it; values that are not finite are left out.
        status: How it ended.
        seconds: Wall time it took.
    """

    name: str
    parameters: dict[str, Scalar]
    metrics: dict[str, float]
    status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED"
    seconds: float = 0.0


class Promotion(Section):
    """What a call of `promote` or `rollback` did.

    Attributes:
        ref: The champion afterwards.
        replaced: The champion before; None when there was none.
        changed: Whether this call moved the alias or completed a move that was interrupted.
        sentence: What happened, in words.
    """

    ref: ModelRef
    replaced: int | None
    changed: bool
    sentence: str
