"""The project file as frozen, strict models: every key a user may write, with its default and its meaning."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tiltyard.errors import did_you_mean
from tiltyard.project.coarsening import Coarsen
from tiltyard.project.gates import GatesSection
from tiltyard.project.metrics import DEFAULT_METRIC, Task, metrics_of, suggest_metric
from tiltyard.project.monitoring import MonitoringSection
from tiltyard.project.rollout import RolloutSection
from tiltyard.project.schedule import ScheduleSection
from tiltyard.project.section import PathText, Scalar, Section, Seed, Share
from tiltyard.project.spans import parse_span


class TaskSection(Section):
    """What is predicted."""

    kind: Annotated[Task, Field(strict=False)]
    """`binary`, `multiclass` or `regression`."""
    positive: Scalar | None = None
    """The class that probabilities and precision are about (binary only); the rarer class when left out."""


class CsvSource(Section):
    """CSV files; dialect, encoding and number format are recognised unless given here."""

    kind: Literal["csv"] = "csv"
    path: PathText
    """A file, folder, glob or `s3://bucket/key` (glob allowed), relative to the project file; `.gz` too."""
    delimiter: str | None = None
    """Column separator; recognised when left out."""
    encoding: str | None = None
    """Character encoding; recognised when left out."""
    decimal: Literal[".", ","] | None = None
    """Decimal mark of numbers; recognised when left out."""
    thousands: Literal[",", ".", " ", "'"] | None = None
    """Thousands separator of numbers; recognised when left out."""
    skip_rows: Annotated[int, Field(ge=0)] | None = None
    """Lines before the header; recognised when left out."""

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError(f"`decimal` and `thousands` are both `{self.decimal}`; a number could not be read")
        return self


class ParquetSource(Section):
    """Parquet files."""

    kind: Literal["parquet"] = "parquet"
    path: PathText
    """A file, folder, glob or `s3://bucket/key` (glob allowed), relative to the project file."""


class SqlSource(Section):
    """The rows of a query."""

    kind: Literal["sql"] = "sql"
    url: str
    """SQLAlchemy URL; `${NAME}` is replaced from the environment, so that no secret stands in the file."""
    query: str
    """One SELECT statement."""


class BundledSource(Section):
    """A table that ships with scikit-learn, for examples."""

    kind: Literal["sklearn"] = "sklearn"
    name: Literal["iris", "wine", "breast_cancer", "digits", "diabetes"]
    """Which table."""


class CallableSource(Section):
    """A function of yours that returns a pandas DataFrame."""

    kind: Literal["python"] = "python"
    function: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
    """`module:function`, imported with the project's folder on the path."""
    arguments: dict[str, Scalar] = Field(default_factory=dict)
    """Keyword arguments of the call."""


Source = Annotated[CsvSource | ParquetSource | SqlSource | BundledSource | CallableSource, Field(discriminator="kind")]


Protection = Literal["drop", "hash"] | Coarsen


class DataSection(Section):
    """Where the table is and how its columns are used."""

    source: Source
    """Where the rows come from; a plain string is a path, its kind told by the ending."""
    target: str
    """The column to predict."""
    contract: PathText = "contract.yaml"
    """File of the data contract, relative to the project file."""
    time: str | None = None
    """Column that says when a row became known."""
    history: str | None = None
    """How far back is learnt from, such as `90d` (`m`, `h`, `d`, `w`): rows older than that before the newest with a
    target neither train nor judge. Needs `time`; all rows when left out."""
    ids: tuple[str, ...] = ()
    """Columns that identify a row; never features."""
    group: str | None = None
    """Column whose rows belong together (a customer, a device) and never straddle a split."""
    drop: tuple[str, ...] = ()
    """Columns not known when a prediction is wanted (leaks), or not wanted."""
    missing: tuple[str, ...] = ()
    """Further spellings of a missing value, beside the empty string, `NA`, `N/A`, `NULL`, `NaN`, `None`."""
    checks: Literal["strict", "lax"] = "strict"
    """`strict` stops at any broken check; `lax` stops only where no honest model is possible."""
    protect: dict[str, Protection] = Field(default_factory=dict)
    """Per column: `drop`, `hash` (keyed by `TILTYARD_PROTECT_KEY`) or `{coarsen: …}`, done at reading."""

    @field_validator("source", mode="before")
    @classmethod
    def _from_path(cls, value: object) -> object:
        """Let a plain path stand for a source."""
        if not isinstance(value, str):
            return value
        kind = "parquet" if value.rstrip("*/").endswith((".parquet", ".pq")) else "csv"
        return {"kind": kind, "path": value}

    @field_validator("history")
    @classmethod
    def _a_span(cls, history: str | None) -> str | None:
        if history is not None:
            parse_span(history)
        return history

    @model_validator(mode="after")
    def _history_has_a_time(self) -> Self:
        if self.history is not None and self.time is None:
            raise ValueError(
                f"`history: {self.history}` needs the age of a row; name under `time` the column that says when a row "
                "became known, or leave `history` out"
            )
        return self

    @model_validator(mode="after")
    def _target_is_not_a_feature(self) -> Self:
        roles = {"time": (self.time,), "group": (self.group,), "ids": self.ids, "drop": self.drop}
        for role, columns in roles.items():
            if self.target in columns:
                raise ValueError(f"`{self.target}` is the target and cannot also be under `{role}`")
        return self

    @property
    def reach(self) -> timedelta | None:
        """How far back is learnt from; None for all rows."""
        return None if self.history is None else parse_span(self.history)


class SplitSection(Section):
    """Which rows train, validate, calibrate and judge."""

    method: Literal["stratified", "random", "time", "group", "column"] | None = None
    """Left out: `column` when `column` is given, else `time` when the data has a time column, else `group`
    when it has a group column, else `stratified` (`random` for regression)."""
    column: str | None = None
    """Column whose values are the parts: `train`, `validation`, `calibration`, `test`."""
    test: Share = 0.25
    """Share of rows that judge."""
    validation: Share = 0.15
    """Share of rows that choose the threshold, and score trials where folds are off."""
    calibration: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of rows that calibrate probabilities; 0.1 is taken when calibration is wanted and this is 0."""
    seed: Seed = 42
    """Another seed, other parts."""

    @model_validator(mode="after")
    def _leaves_rows_to_train(self) -> Self:
        if self.test + self.validation + self.calibration >= 0.9:
            raise ValueError("`test`, `validation` and `calibration` together must leave a tenth of the rows to train")
        if self.method == "column" and self.column is None:
            raise ValueError("method `column` needs `column`")
        return self


class Costs(Section):
    """What a wrong answer costs, for the choice of the decision threshold."""

    false_positive: Annotated[float, Field(ge=0)]
    """Cost of saying yes where no is true."""
    false_negative: Annotated[float, Field(ge=0)]
    """Cost of saying no where yes is true."""
    true_positive: float = 0.0
    """Cost of a right yes; negative when it earns."""
    true_negative: float = 0.0
    """Cost of a right no."""


FAMILIES = (
    "linear",
    "svm",
    "tree",
    "forest",
    "extra_trees",
    "boosting",
    "knn",
    "mlp",
    "dummy",
)


class SearchSection(Section):
    """How models are tried."""

    families: tuple[str, ...] = ()
    """Of `linear`, `svm`, `tree`, `forest`, `extra_trees`, `boosting`, `knn`, `mlp`, `dummy`, those that race; all that
    suit the data when left out."""
    estimators: tuple[Annotated[str, Field(pattern=r"^[\w.]+:\w+$")], ...] = ()
    """Estimators of your own, `module:Class`; they race with the families."""
    sampler: Literal["race", "tpe", "random", "grid"] = "race"
    """`race`: good defaults on few rows first, then local search around the best."""
    seconds: Annotated[float, Field(gt=0, strict=False)] | None = None
    """Wall time of the search; 60 when neither this nor `trials` is given."""
    trials: Annotated[int, Field(gt=0)] | None = None
    """Number of trials; with this alone the search is deterministic."""
    metric: str | None = None
    """What trials are compared by; ROC-AUC, accuracy or RMSE by task when left out."""
    folds: Annotated[int, Field(ge=1, le=20)] = 5
    """Cross-validation folds at most (fewer on large tables); 1 scores on the validation part."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Trials at the same time; the machine's cores when left out."""
    class_weight: Literal["balanced"] | None = None
    """`balanced` weighs classes by the inverse of their frequency."""
    calibration: Literal["none", "sigmoid"] = "none"
    """Recalibrate probabilities on rows held out for it (Platt 1999)."""
    threshold: Literal["accuracy", "f1", "precision", "recall"] | Costs | None = None
    """What the decision threshold is chosen for, on validation (binary only); 0.5 when left out."""
    seed: Seed = 42
    """Same data, configuration and seed: same model, when `trials` alone limits the search."""

    @field_validator("families")
    @classmethod
    def _known(cls, families: tuple[str, ...]) -> tuple[str, ...]:
        for family in families:
            if family not in FAMILIES:
                raise ValueError(f"`{family}` is not a family. {did_you_mean(family, FAMILIES)}")
        return families

    @field_validator("threshold")
    @classmethod
    def _costs_decide(cls, threshold: str | Costs | None) -> str | Costs | None:
        if not isinstance(threshold, Costs):
            return threshold
        pairs = (("true_positive", "false_negative"), ("true_negative", "false_positive"))
        for right, wrong in pairs:
            if getattr(threshold, right) > getattr(threshold, wrong):
                raise ValueError(
                    f"`{right}` costs more than `{wrong}`; a right answer must not cost more than a wrong one"
                )
        if all(getattr(threshold, right) == getattr(threshold, wrong) for right, wrong in pairs):
            raise ValueError("the costs of `threshold` decide nothing; a wrong answer must cost more than a right one")
        return threshold

    @property
    def wall_seconds(self) -> float | None:
        """The time budget in force, in seconds; None when only trials are counted."""
        return 60.0 if self.seconds is None and self.trials is None else self.seconds


class BundleSection(Section):
    """What goes to serving."""

    parity: Annotated[float, Field(gt=0, le=1e-3)] = 1e-5
    """Largest difference allowed between fitted model and graph, relative to max(1, |value|)."""


class Project(Section):
    """A whole project file."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    """Name of the project and of its registered model: lower case, digits, `-`, `_`."""
    purpose: str = ""
    """What the model is for and for whom, in a sentence or two; stands first on the model card."""
    task: TaskSection
    data: DataSection
    split: SplitSection = SplitSection()
    search: SearchSection = SearchSection()
    gates: GatesSection = GatesSection()
    bundle: BundleSection = BundleSection()
    rollout: RolloutSection = RolloutSection()
    monitoring: MonitoringSection = MonitoringSection()
    schedule: ScheduleSection = ScheduleSection()

    @model_validator(mode="after")
    def _the_target_deals_no_rows(self) -> Self:
        if self.split.column == self.data.target:
            raise ValueError(f"`split.column: {self.split.column}` is the target; the parts need a column of their own")
        return self

    @model_validator(mode="after")
    def _the_target_routes_no_requests(self) -> Self:
        if self.rollout.key == self.data.target:
            raise ValueError(f"`rollout.key: {self.rollout.key}` is the target, which no request holds")
        return self

    @model_validator(mode="after")
    def _the_target_is_no_watched_feature(self) -> Self:
        for key, columns in (("ignore", self.monitoring.ignore), ("importance", self.monitoring.importance)):
            if self.data.target in columns:
                raise ValueError(f"`monitoring.{key}` names `{self.data.target}`, the target, which no request holds")
        return self

    @model_validator(mode="after")
    def _metrics_fit_the_task(self) -> Self:
        known = {metric.name for metric in metrics_of(self.task.kind)}
        asked = [("search.metric", self.search.metric), ("gates.metric", self.gates.metric)]
        asked += [(f"gates.floors.{name}", name) for name in self.gates.floors]
        for key, name in asked:
            if name is not None and name not in known:
                raise ValueError(
                    f"`{key}: {name}` is not a metric of a {self.task.kind} task. {suggest_metric(name, known)}"
                )
        return self

    @model_validator(mode="after")
    def _binary_only(self) -> Self:
        if self.task.kind is not Task.BINARY:
            for key, value in (("task.positive", self.task.positive), ("search.threshold", self.search.threshold)):
                if value is not None:
                    raise ValueError(f"`{key}` is for binary tasks, and this one is {self.task.kind}")
        if self.task.kind is Task.REGRESSION and (
            self.search.calibration != "none" or self.search.class_weight is not None
        ):
            raise ValueError("`search.calibration` and `search.class_weight` are for classification")
        return self

    @property
    def search_metric(self) -> str:
        """The metric that trials are compared by."""
        return self.search.metric or DEFAULT_METRIC[self.task.kind]

    @property
    def gate_metric(self) -> str:
        """The metric that decides about promotion."""
        return self.gates.metric or self.search_metric

    @property
    def split_method(self) -> Literal["stratified", "random", "time", "group", "column"]:
        """The split in force."""
        if self.split.method is not None:
            return self.split.method
        if self.split.column is not None:
            return "column"
        if self.data.time is not None:
            return "time"
        if self.data.group is not None:
            return "group"
        return "stratified" if self.task.kind.is_classification else "random"
