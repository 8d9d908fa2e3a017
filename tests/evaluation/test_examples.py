"""The examples in the docstrings are true."""

import doctest
from types import ModuleType

import pytest

from tiltyard.evaluation import intervals, metrics, multiplicity, wording


@pytest.mark.parametrize("module", [intervals, metrics, multiplicity, wording], ids=lambda module: module.__name__)
def test_examples_hold(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
