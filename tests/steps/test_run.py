"""An assignment is checked at the door, before anything is read."""

from pathlib import Path

import pytest

from tests.steps.conftest import write_project
from tiltyard.errors import TrainingError
from tiltyard.steps.run import assign


@pytest.mark.parametrize("name", ["nomod:Foo", "json:JSONDecoder"])
def test_own_estimator_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    file = write_project(tmp_path, "linear")
    file.write_text(file.read_text().replace("search:\n", f'search:\n  estimators: ["{name}"]\n'))
    with pytest.raises(TrainingError, match=name.split(":", maxsplit=1)[0]):
        assign(file, seconds=None, trials=None, reason="")
