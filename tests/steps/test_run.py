"""An assignment is checked at the door, before anything is read."""

from pathlib import Path

import pytest

from tests.steps.conftest import write_project
from tiltyard.data.dataset import DatasetRef
from tiltyard.errors import ConflictError, TrainingError
from tiltyard.steps.run import assign, identify, one_at_a_time


@pytest.mark.parametrize("name", ["nomod:Foo", "json:JSONDecoder"])
def test_own_estimator_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    file = write_project(tmp_path, "linear")
    file.write_text(file.read_text().replace("search:\n", f'search:\n  estimators: ["{name}"]\n'))
    with pytest.raises(TrainingError, match=name.split(":", maxsplit=1)[0]):
        assign(file, seconds=None, trials=None, reason="")


def test_a_project_trains_once_at_a_time_and_its_neighbour_in_the_same_home_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILTYARD_HOME", str(tmp_path / "home"))
    file = write_project(tmp_path, "linear")
    churn = assign(file)
    file.write_text(file.read_text().replace("name: churn", "name: fraud"))
    fraud = assign(file)
    refused = pytest.raises(ConflictError, match="another training run of `churn` is under way")
    with one_at_a_time(churn), one_at_a_time(fraud), refused, one_at_a_time(churn):
        pass


def test_what_follows_a_verdict_is_no_part_of_what_a_run_is(tmp_path: Path) -> None:
    file = write_project(tmp_path, "linear")
    dataset = DatasetRef(uri="data", fingerprint="0" * 64, rows=1, columns=1)
    key = identify(assign(file), dataset).key
    for section in ("monitoring: {window: 1d}", 'schedule: {cron: "0 3 * * 1"}', "rollout: {strategy: canary}"):
        changed = write_project(tmp_path, "linear")
        changed.write_text(f"{file.read_text()}{section}\n")
        assert identify(assign(changed), dataset).key == key
