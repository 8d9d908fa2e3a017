"""The runtime: a verified bundle that answers. onnxruntime and numpy only; no code comes from the model."""

import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.folded import NOTE, Folded, Scorer
from tiltyard.bundle.golden import Golden
from tiltyard.bundle.manifest import CONTRACT, ENCODER, GOLDEN, GRAPH, BundleFiles, parse_section, read_bundle
from tiltyard.bundle.model import Columns, Predictions
from tiltyard.bundle.wire import note_of, refuse_external_data
from tiltyard.data.contract import Contract, Level
from tiltyard.data.protection import changes_of
from tiltyard.data.rows import TypedRows, rows_to_columns
from tiltyard.errors import BundleError
from tiltyard.project.metrics import Task

INPUT = "rows"
PROBABILITIES = "probabilities"
VALUES = "values"
"""Names of the graph's input (float32, n by features) and of its one output (float64, n by classes, or n)."""

BATCH_ROWS = 128
"""Rows that go through the graph at once: nearest neighbours hold a distance from each to every training row."""


class GraphSession:
    """An ONNX graph of the bundle's form, on one thread.

    Args:
        graph: Content of the ONNX file.
        features: Columns of the matrix.
        task: Decides what the output is.
        classes: Number of probability columns; ignored for regression.
        lean: Leave the graph alone where its folded form answers.

    Raises:
        BundleError: The graph cannot be loaded, is not self-contained, or has another input or output.
    """

    def __init__(self, graph: bytes, *, features: int, task: Task, classes: int, lean: bool = False) -> None:
        refuse_external_data(graph)
        self._classes = classes if task.is_classification else None
        self._outputs = [PROBABILITIES if task.is_classification else VALUES]
        self._folded = self._read_folded(graph, features, task)
        self._session: Any = None
        if self._folded is None or not lean:
            self._session = _open(graph)
            self._check_signature(features)

    def predict(self, matrix: NDArray[np.float32]) -> Predictions:
        """Answer for an encoded table, float32, shape (n, features), by the folded form where there is one."""
        return self.by_graph(matrix) if self._folded is None else self._folded.predict(matrix)

    def predict_one(self, cells: Sequence[float]) -> float | Sequence[float]:
        """Answer for one encoded row of numbers that float32 holds: a value, or all probabilities."""
        if self._folded is not None:
            return self._folded.predict_one(cells)
        answer: float | list[float] = self.by_graph(np.array((cells,), dtype=np.float32)).array[0].tolist()
        return answer

    def by_graph(self, matrix: NDArray[np.float32]) -> Predictions:
        """Answer by the graph itself."""
        if len(matrix) <= BATCH_ROWS:
            return self._wrap(self._run(matrix) if len(matrix) else self._nothing())
        starts = range(0, len(matrix), BATCH_ROWS)
        return self._wrap(np.concatenate([self._run(matrix[start : start + BATCH_ROWS]) for start in starts]))

    def _run(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        answer: NDArray[np.float64] = self._session.run(self._outputs, {INPUT: matrix})[0]
        return answer

    def _nothing(self) -> NDArray[np.float64]:
        return np.empty(0 if self._classes is None else (0, self._classes))

    def _wrap(self, answer: NDArray[np.float64]) -> Predictions:
        return Predictions(values=answer) if self._classes is None else Predictions(probabilities=answer)

    def differences(self, matrix: NDArray[np.float32], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return for each row how far the graph, or its folded form, is off (see `row_differences`)."""
        both = self._folded is not None and self._session is not None
        ways = [self.predict, self.by_graph] if both else [self.predict]
        worst: NDArray[np.float64] = np.max([row_differences(way(matrix).array, wanted) for way in ways], axis=0)
        return worst

    def _read_folded(self, graph: bytes, features: int, task: Task) -> Scorer | None:
        """Return the folded form that the graph carries."""
        note = note_of(graph, NOTE)
        if note is None:
            return None
        folded = parse_section(Folded, note, where=GRAPH)
        answer = "probability" if task.is_classification else "value"
        if len(folded.terms) != features or folded.answer != answer or self._classes not in {None, 2}:
            raise BundleError(f"`{GRAPH}` carries the folded form of another model", cure="Build the bundle again.")
        return folded.scorer()

    def _check_signature(self, features: int) -> None:
        try:
            inputs = [(item.name, item.type, item.shape[1:]) for item in self._session.get_inputs()]
            outputs = [(item.name, item.type, item.shape[1:]) for item in self._session.get_outputs()]
        except UnicodeDecodeError as error:
            raise BundleError(f"`{GRAPH}` has names that are not UTF-8", cure="Build the bundle again.") from error
        wanted_inputs = [(INPUT, "tensor(float)", [features])]
        wanted_outputs = [(self._outputs[0], "tensor(double)", [] if self._classes is None else [self._classes])]
        for found, wanted in ((inputs, wanted_inputs), (outputs, wanted_outputs)):
            if found != wanted:
                raise BundleError(f"`{GRAPH}` has {found} where {wanted} belongs", cure="Build the bundle again.")


class Runtime:
    """A model that answers: encoder and graph of one verified bundle.

    Attributes:
        manifest: The bundle's manifest.
        contract: The data contract of its project.
        encoder: Columns → matrix.
        golden: Rows with expected answers.
        classes: Classes in the order of the probabilities; empty for regression.
        threshold: Decision threshold of the positive class.

    Example:
        >>> runtime = Runtime.load(folder)                                  # doctest: +SKIP
        >>> predictions = runtime.predict({"age": np.array([41.0])})        # doctest: +SKIP
        >>> runtime.labels(predictions)                                     # doctest: +SKIP
        ['no']
    """

    def __init__(self, files: BundleFiles, key: str | None = None, *, lean: bool = False) -> None:
        self._key = key
        self.manifest = files.manifest
        self.contract = parse_section(Contract, files.contents[CONTRACT], where=CONTRACT)
        self.encoder = parse_section(Encoder, files.contents[ENCODER], where=ENCODER)
        self.golden = parse_section(Golden, files.contents[GOLDEN], where=GOLDEN)
        self.classes: tuple[Level, ...] = self.manifest.classes
        self.threshold = self.manifest.threshold
        self._check_agreement()
        self._session = GraphSession(
            files.contents[GRAPH],
            features=len(self.encoder.features),
            task=self.manifest.task,
            classes=len(self.classes),
            lean=lean,
        )

    @classmethod
    def load(cls, folder: Path, *, key: str | None = None, lean: bool = False) -> "Runtime":
        """Load a bundle.

        Args:
            folder: The bundle; every file is verified before it is used.
            key: Key of the keyed hashes; needed for `predict_rows` of a model with a hashed column.
            lean: Leave the graph alone where its folded form answers; both are proved when a bundle is verified.

        Raises:
            BundleError: The bundle is damaged or not what it claims to be; names the file.
        """
        return cls(read_bundle(folder), key, lean=lean)

    def check_key(self) -> None:
        """Refuse to answer raw rows without the key that their protected columns need.

        Raises:
            ProjectError: A feature is hashed, and the key is missing or another than the model was trained with.
        """
        changes_of(self.contract, self.contract.features, self._key)

    def predict(self, columns: Columns) -> Predictions:
        """Answer for a typed table.

        Args:
            columns: One array of length n per feature column of the contract, protected already.

        Returns:
            Probabilities, float64 (n, classes), or values, float64 (n,).
        """
        return self.score(self.encoder.encode(columns))

    def score(self, matrix: NDArray[np.float32]) -> Predictions:
        """Answer for an encoded table, float32, shape (n, features of the encoder)."""
        return self._session.predict(matrix)

    def score_one(self, cells: Sequence[float]) -> float | Sequence[float]:
        """Answer for one encoded row as `score` does, without arrays where there is a folded form.

        Args:
            cells: A row of the matrix: numbers that float32 holds.

        Returns:
            The value, or the probabilities of all classes.
        """
        return self._session.predict_one(cells)

    def labels(self, predictions: Predictions) -> list[Level]:
        """Return the class of every row, by the bundle's threshold."""
        return [self.classes[code] for code in predictions.labels(self.threshold).tolist()]

    def codes(self, probabilities: Sequence[Sequence[float]]) -> list[int]:
        """Return the class codes of some rows, as `Predictions.labels` does, by Python alone."""
        if len(self.classes) == 2:
            threshold = self.threshold
            return [1 if row[1] >= threshold else 0 for row in probabilities]
        return [max(range(len(row)), key=row.__getitem__) for row in probabilities]

    def predict_rows(self, rows: Sequence[Mapping[str, object]]) -> tuple[Predictions, TypedRows]:
        """Answer for rows as a request has them.

        Args:
            rows: One mapping per row, column name to raw value, protected columns in the clear.

        Returns:
            The answers, and the typed rows with what was noticed about them.

        Raises:
            ProjectError: The key of the keyed hashes is needed, and is missing or wrong.
            DataError: A row breaks the contract; names row and column.
        """
        typed = rows_to_columns(rows, self.contract, self._key)
        return self.predict(typed.columns), typed

    def replay(self) -> float:
        """Answer the golden rows, which also warms the session.

        Returns:
            The largest difference from the expected answers, relative to max(1, |expected|).

        Raises:
            BundleError: It is larger than the bundle was built with, and names the golden row; or there is no answer.
        """
        wanted = self.golden.answers
        matrix = self.encoder.encode(self.golden.table(self.encoder))
        try:
            differences = self._session.differences(matrix, wanted if self.classes else wanted.ravel())
        except Exception as error:  # as above: onnxruntime's errors, and shapes that are not those promised
            raise BundleError(f"`{GRAPH}` cannot answer the golden rows: {_first_line(error)}") from error
        worst = int(np.argmax(np.where(np.isnan(differences), np.inf, differences)))
        if not differences[worst] <= self.manifest.parity.tolerance:
            raise BundleError(
                f"the golden row `{self.golden.labels[worst]}` is answered {differences[worst]:.1e} off"
                f" (allowed {self.manifest.parity.tolerance:.0e})",
                cure="This machine computes differently from the one that built the bundle; build it here.",
            )
        return float(differences[worst])

    def single_row_latency(self, repeats: int = 200) -> float:
        """Return the median time of answering one row, in milliseconds, over the golden rows in turn."""
        table = self.golden.table(self.encoder)
        rows = len(self.golden.labels)
        singles = [{name: values[row : row + 1] for name, values in table.items()} for row in range(rows)]
        times = []
        for turn in range(repeats):
            start = time.perf_counter()
            self.predict(singles[turn % rows])
            times.append(time.perf_counter() - start)
        return float(np.median(times)) * 1e3

    def _check_agreement(self) -> None:
        """Refuse a bundle whose parts are not of one model."""
        kinds = {column.name: column.kind for column in self.contract.features}
        for encoding in self.encoder.columns:
            if kinds.get(encoding.column) is not encoding.kind:
                raise BundleError(
                    f"`{ENCODER}` reads `{encoding.column}` as {encoding.kind}, the contract does not",
                    cure="Build the bundle again.",
                )
            if len(self.golden.columns.get(encoding.column, ())) != len(self.golden.labels):
                raise BundleError(f"`{GOLDEN}` has no full column `{encoding.column}`", cure="Build the bundle again.")
        width = len(self.classes) or 1
        widths = [len(row) for row in self.golden.expected]
        if not widths or widths != [width] * len(self.golden.labels):
            raise BundleError(f"`{GOLDEN}` has not {width} answers for every row", cure="Build the bundle again.")
        if self.contract.task is not self.manifest.task:
            raise BundleError(
                f"the contract is of a {self.contract.task} task, the manifest of a {self.manifest.task} one"
            )


def row_differences(got: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each row the largest |got - wanted| / max(1, |wanted|); NaN where anything is not finite.

    Args:
        got: Shape (n,) or (n, k).
        wanted: The same shape.

    Example:
        >>> row_differences(np.array([0.5, 102.0]), np.array([0.5, 100.0]))
        array([0.  , 0.02])
    """
    with np.errstate(invalid="ignore"):
        differences = np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted))
    differences = np.where(np.isfinite(differences), differences, np.nan)
    return np.asarray(differences.reshape(len(got), -1).max(axis=1))


@cache
def _onnxruntime() -> Any:
    """Return the library, which a worker with linear models alone never needs: 25 MB of its memory."""
    import onnxruntime  # noqa: PLC0415  # as late as can be

    onnxruntime.disable_telemetry_events()  # nothing here calls out
    return onnxruntime


def _open(graph: bytes) -> Any:
    """Return a session of a graph.

    Raises:
        BundleError: It cannot be loaded.
    """
    library = _onnxruntime()
    options = library.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return library.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class but Exception
        raise BundleError(f"onnxruntime refuses `{GRAPH}`: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
