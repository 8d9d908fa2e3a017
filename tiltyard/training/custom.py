"""An estimator of the user's own, by `module:Class`."""

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator, is_classifier, is_regressor

from tiltyard.errors import TrainingError
from tiltyard.project.metrics import Task
from tiltyard.project.model import SearchSection
from tiltyard.training.family import Facts, Family, View
from tiltyard.training.space import Choice, Dimension, Parameters, Real, Scalar, Space, Whole

CURE = "Name a scikit-learn estimator class as `module:Class`; its module is looked for beside the project file."


class OwnEstimator(Family):
    """A scikit-learn estimator of the user's, fitted on the encoder's matrix as it is (NaN for missing).

    It is tried with its own defaults; when the class has a static method `search_space()`, what that returns is
    searched: `{name: (low, high)}`, `(low, high, "log")` or a list of options.

    Args:
        name: `module:Class`.
        kind: The class.
    """

    view: View = "raw"

    def __init__(self, name: str, kind: type[Any]) -> None:
        self.name = name
        self.kind = kind

    def space(self, facts: Facts) -> Space:
        """Return what the class offers to be searched."""
        del facts
        offered = getattr(self.kind, "search_space", None)
        if offered is None:
            return {}
        found = offered()
        if not isinstance(found, Mapping):
            raise TrainingError(f"`search_space()` of `{self.name}` returned {found!r}", cure="Return a mapping.")
        return {str(name): _dimension(self.name, str(name), form) for name, form in found.items()}

    def defaults(self, facts: Facts) -> tuple[dict[str, Scalar], ...]:
        """Return the class's own defaults."""
        del facts
        return ({},)

    def build(self, parameters: Parameters, facts: Facts, iterations: int | None = None) -> Any:
        """Return the estimator, with the seed, threads and class weights of the search where it takes them."""
        del iterations
        given = {"random_state": facts.seed, "n_jobs": facts.threads, "class_weight": facts.class_weight}
        known = inspect.signature(self.kind).parameters
        options = {name: value for name, value in given.items() if name in known and value is not None}
        try:
            model = self.kind(**options, **parameters)
        except TypeError as error:
            raise TrainingError(f"`{self.name}` cannot be made from {parameters} ({error})", cure=CURE) from error
        fits = is_classifier(model) if facts.classes else is_regressor(model)
        if not fits:
            wanted = "classifier" if facts.classes else "regressor"
            raise TrainingError(f"`{self.name}` is not a {wanted}, and the task is {facts.task}", cure=CURE)
        return model

    def probe(self, facts: Facts) -> None:
        """Check that the class can be used at all, before the search starts.

        Raises:
            TrainingError: It cannot be made without arguments, is for another task, or its space is unreadable.
        """
        self.space(facts)
        self.build({}, facts)


def load_own(name: str, folder: Path | None) -> OwnEstimator:
    """Import a user's estimator.

    Args:
        name: `module:Class`.
        folder: The project's folder, searched first.

    Raises:
        TrainingError: There is no such module or class, or it is no scikit-learn estimator.
    """
    module_name, _, class_name = name.partition(":")
    try:
        with _on_path(folder):
            module = importlib.import_module(module_name)
    except Exception as error:  # user code may raise anything while it is imported
        raise TrainingError(f"`{module_name}` cannot be imported ({error})", where=name, cure=CURE) from error
    kind = getattr(module, class_name, None)
    if not (isinstance(kind, type) and issubclass(kind, BaseEstimator)):
        raise TrainingError(f"`{class_name}` is not an estimator class of `{module_name}`", where=name, cure=CURE)
    return OwnEstimator(name, kind)


def check_estimators(search: SearchSection, task: Task, folder: Path | None) -> None:
    """Check that a project's own estimators can be used, before any data is read.

    Args:
        search: Names them.
        task: What they are to predict.
        folder: The project's folder, searched first.

    Raises:
        TrainingError: One cannot be imported, is no scikit-learn estimator, is for another task, cannot be made
            without arguments, or its space is unreadable.
    """
    classes = {Task.BINARY: 2, Task.MULTICLASS: 3, Task.REGRESSION: 0}[task]
    facts = Facts(task, classes, rows=1000, levels=(0,), class_weight=search.class_weight)
    for name in search.estimators:
        load_own(name, folder).probe(facts)


@contextmanager
def _on_path(folder: Path | None) -> Iterator[None]:
    """Put the project's folder first on the import path, for as long as it takes."""
    if folder is None:
        yield
        return
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _dimension(estimator: str, name: str, form: Any) -> Dimension:
    """Turn the plain form of a dimension into a record."""
    match form:
        case [*options] if isinstance(form, list) and options:
            return Choice(tuple(options))
        case (int(low), int(high), *rest) if low < high and rest in ([], ["log"]):
            return Whole(low, high, log=bool(rest))
        case (int() | float() as low, int() | float() as high, *rest) if low < high and rest in ([], ["log"]):
            return Real(float(low), float(high), log=bool(rest))
    raise TrainingError(
        f"`search_space()` gives `{name}` as {form!r}",
        where=estimator,
        cure='Write (low, high), (low, high, "log") or a list of options.',
    )
