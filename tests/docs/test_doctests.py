"""The examples in docstrings run."""

import doctest
import importlib
from pathlib import Path

import pytest

import tiltyard

FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE
PACKAGE = Path(tiltyard.__path__[0])
NAMES = [
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    for file in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in file.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name: str) -> None:
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        assert runner.run(test).failed == 0, test.name
