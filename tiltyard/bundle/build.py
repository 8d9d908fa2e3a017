"""Building a bundle: graph, golden rows, parity on the whole test set, manifest; written as a whole or not at all."""

import os
import platform
import shutil
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tiltyard
from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.golden import Golden, GoldenRows
from tiltyard.bundle.graph import build_graph
from tiltyard.bundle.manifest import (
    CONTRACT,
    ENCODER,
    GOLDEN,
    GRAPH,
    LARGEST_FILE,
    MANIFEST,
    BundleFiles,
    Manifest,
    Parity,
    sha256,
)
from tiltyard.bundle.model import Columns, FittedModel
from tiltyard.bundle.runtime import GraphSession, Runtime
from tiltyard.data.contract import Contract
from tiltyard.errors import BundleError

LIBRARIES = ("numpy", "scikit-learn", "onnx", "onnxruntime", "skl2onnx")


def build_bundle(
    model: FittedModel, contract: Contract, columns: Columns, folder: Path, *, project: str, parity: float
) -> Manifest:
    """Build a bundle and prove on the whole test set and on hostile rows that it answers as the model does.

    Args:
        model: The fitted model.
        contract: Data contract of the project.
        columns: The typed test set, at least one row.
        folder: Where the bundle goes; replaced as a whole when it is there already.
        project: Name of the project.
        parity: Largest difference allowed, relative to max(1, |value|).

    Returns:
        The manifest that was written.

    Raises:
        BundleError: The model has no exact graph, or graph and model differ by more than `parity` (names the row
            and the column values), or the folder cannot be written.
    """
    _check_ingredients(model, contract, columns)
    graph = build_graph(model).SerializeToString(deterministic=True)
    if len(graph) > LARGEST_FILE[GRAPH]:
        raise BundleError(f"the graph has {len(graph):,} bytes; at most {LARGEST_FILE[GRAPH]:,} are served")
    session = GraphSession(graph, features=len(model.encoder.features), task=model.task, classes=len(model.classes))
    golden_rows = GoldenRows(model.encoder, columns)
    measured = [
        _measure(model, session, table, labels, parity)
        for table, labels in ((columns, None), (golden_rows.columns, golden_rows.labels))
    ]
    golden = golden_rows.answered(model.predict(golden_rows.columns).array)
    agreement = Parity(
        rows=sum(rows for rows, _ in measured), max_difference=max(worst for _, worst in measured), tolerance=parity
    )
    files = _files(model, contract, golden, graph, project=project, parity=agreement)
    _write(folder, files)
    return files.manifest


def _check_ingredients(model: FittedModel, contract: Contract, columns: Columns) -> None:
    """Refuse a model that is not of this contract."""
    if model.encoder != Encoder.of(contract):
        raise BundleError("the model was trained with an encoder of another contract", cure="Train it again.")
    if model.classes != contract.classes or model.task is not contract.task:
        raise BundleError("the model was trained for another target than the contract has", cure="Train it again.")
    rows = {len(columns[item.column]) for item in model.encoder.columns}
    if len(rows) != 1 or 0 in rows:
        raise BundleError(f"the test set has columns of {sorted(rows)} rows; it needs one length, above 0")


def _measure(
    model: FittedModel, session: GraphSession, columns: Columns, labels: tuple[str, ...] | None, parity: float
) -> tuple[int, float]:
    """Return rows compared and the largest difference.

    Raises:
        BundleError: It is larger than `parity`.
    """
    wanted = _answers(model, columns, "golden rows, with every column missing once," if labels else "test set")
    differences = session.differences(model.encoder.encode(columns), wanted)
    worst = int(np.argmax(np.where(np.isnan(differences), np.inf, differences)))
    if not differences[worst] <= parity:
        where = f"golden row `{labels[worst]}`" if labels else f"row {worst} of the test set"
        raise BundleError(
            f"graph and fitted {type(model.estimator).__name__} differ by {differences[worst]:.1e}"
            f" (allowed {parity:.0e}) at {where}: {_cells(columns, worst)}",
            cure=_cure(wanted[worst]),
        )
    return len(differences), float(differences[worst])


def _answers(model: FittedModel, columns: Columns, what: str) -> NDArray[np.float64]:
    """Return the fitted model's answers; an estimator of the user's own may fail on hostile rows."""
    try:
        return model.predict(columns).array
    except Exception as error:  # an own estimator may raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise BundleError(
            f"the fitted `{type(model.estimator).__name__}` cannot answer the {what} ({reason})",
            cure="Make it impute missing values, or use a family of Tiltyard.",
        ) from error


def _cells(columns: Columns, row: int) -> str:
    """Return the values of a row as text, the first ones of a wide table."""
    cells = [f"{name}={str(values[row])[:40]}" for name, values in columns.items()]
    return ", ".join(cells[:12]) + (f" and {len(cells) - 12} more" if len(cells) > 12 else "")


def _cure(wanted: NDArray[np.float64] | np.float64) -> str:
    if not np.isfinite(wanted).all():
        return "The fitted model itself answers with a number that is not finite; train another family."
    return "Train another family, or raise `bundle.parity` knowingly."


def _files(
    model: FittedModel, contract: Contract, golden: Golden, graph: bytes, *, project: str, parity: Parity
) -> BundleFiles:
    """Return the bundle's files, its latency measured on exactly these bytes."""
    contents = {
        CONTRACT: contract.model_dump_json(indent=1).encode(),
        ENCODER: model.encoder.model_dump_json(indent=1).encode(),
        GOLDEN: golden.model_dump_json().encode(),
        GRAPH: graph,
    }
    manifest = Manifest(
        project=project,
        task=model.task,
        classes=model.classes,
        threshold=model.threshold,
        family=model.family,
        versions={
            "python": platform.python_version(),
            "tiltyard": tiltyard.__version__,
            **{name: version(name) for name in LIBRARIES},
        },
        files={name: sha256(content) for name, content in contents.items()},
        parity=parity,
        latency_ms=0.0,
        size_bytes=sum(map(len, contents.values())),
        created=datetime.now(UTC),
    )
    latency = Runtime(BundleFiles(manifest, contents)).single_row_latency()
    return BundleFiles(manifest.model_copy(update={"latency_ms": round(latency, 6)}), contents)


def _write(folder: Path, files: BundleFiles) -> None:
    """Write all files beside the folder, make them durable, and put them in its place with one rename."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise BundleError(f"cannot be written ({error.strerror})", where=str(folder)) from error
    try:
        manifest = files.manifest.model_dump_json(indent=1).encode()
        for name, content in {**files.contents, MANIFEST: manifest}.items():
            _write_durably(draft / name, content)
        draft.chmod(0o755)
        _sync_folder(draft)
        _replace(draft, folder)
        _sync_folder(folder.parent)
    except OSError as error:
        raise BundleError(
            f"cannot be written ({error.strerror})", where=str(folder), cure="Make room, or choose another folder."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _replace(draft: Path, folder: Path) -> None:
    """Rename `draft` to `folder`; what was there is moved aside first and removed after."""
    if not folder.exists():
        draft.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        folder.rename(aside / "old")
        try:
            draft.rename(folder)
        except OSError:
            (aside / "old").rename(folder)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
