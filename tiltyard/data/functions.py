"""Tables that a function returns: the user's own, or one that ships with scikit-learn."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pandas as pd

from tiltyard.data.dialect import check_names
from tiltyard.errors import DataError, ProjectError
from tiltyard.project.model import CallableSource


def call_function(source: CallableSource, folder: Path) -> pd.DataFrame:
    """Call a function `module:function` that returns a table.

    Args:
        source: Which function, and its arguments.
        folder: The project's folder; on `sys.path` while the module is imported and called, and not after.

    Raises:
        ProjectError: There is no such module or function.
        DataError: The function failed, or returned something else than a DataFrame with rows.
    """
    module_name, name = source.function.split(":")
    with _importable(folder):
        function = getattr(_module(module_name, source.function), name, None)
        if not callable(function):
            what = f"`{module_name}` has no function `{name}`"
            raise ProjectError(what, where=source.function, cure="Correct `function` of the source.")
        try:
            frame = function(**source.arguments)
        except Exception as error:  # whatever the user's code raises is explained, with its cause
            what = f"the function failed: {type(error).__name__}: {error}"
            raise DataError(what, where=source.function, cure="Run it on its own to see why.") from error
    return _checked(frame, source.function)


def call_bundled(name: str) -> pd.DataFrame:
    """Return a table that ships with scikit-learn; classes by their names, under `target`.

    Args:
        name: `iris`, `wine`, `breast_cancer`, `digits` or `diabetes`.
    """
    datasets = importlib.import_module("sklearn.datasets")  # slow to import and rarely wanted
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    if "target_names" in bunch:
        frame = frame.assign(target=[bunch.target_names[code] for code in bunch.target])
    return frame


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put a folder first on `sys.path` for a while; its modules are forgotten afterwards.

    Forgotten, because another project may have another module of the same name.
    """
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).parent.is_relative_to(folder) and "site-packages" not in file:
                del sys.modules[name]


def _module(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        what = f"the module `{error.name}` is not found"
        raise ProjectError(what, where=where, cure="Put it beside the project file, or install it.") from None
    except Exception as error:  # as above
        what = f"the module cannot be imported: {type(error).__name__}: {error}"
        raise ProjectError(what, where=where, cure="Import it on its own to see why.") from error


def _checked(frame: object, where: str) -> pd.DataFrame:
    """Refuse what is not a table with named columns and rows."""
    if not isinstance(frame, pd.DataFrame):
        what = f"the function returned a {type(frame).__name__}, not a pandas DataFrame"
        raise DataError(what, where=where, cure="Return a DataFrame.")
    check_names(tuple(str(name) for name in frame.columns), where=where)
    if frame.empty:
        raise DataError("the function returned a table without rows", where=where, cure="Return some rows.")
    return frame.set_axis([str(name) for name in frame.columns], axis=1).reset_index(drop=True)
