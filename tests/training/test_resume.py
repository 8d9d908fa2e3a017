"""A search killed without warning goes on where it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.training.problems import problem
from tests.training.test_search import FEW, tried
from tiltyard.errors import TrainingError
from tiltyard.project.metrics import Task
from tiltyard.project.model import SearchSection
from tiltyard.training.journal import FILE, Journal, locked, study_name
from tiltyard.training.problem import TrialRecord
from tiltyard.training.tuner import search

ROOT = Path(__file__).parents[2]
SETTINGS = SearchSection(trials=12, families=FEW, workers=2)
SCRIPT = """
from pathlib import Path
from tests.training.problems import problem
from tests.training.test_resume import SETTINGS
from tiltyard.project.metrics import Task
from tiltyard.training.tuner import search
search(problem(Task.BINARY), SETTINGS, Path({folder!r}))
"""


def descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    script = SCRIPT.format(folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, start_new_session=True)
    journal = folder / FILE
    while not journal.exists() or journal.read_bytes().count(b"\n") < 4:
        assert process.poll() is None
        time.sleep(0.05)
    family = descendants(process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    resumed = search(problem(Task.BINARY), SETTINGS, folder)
    assert 0 < resumed.resumed < 12
    assert tried(resumed) == tried(search(problem(Task.BINARY), SETTINGS, whole))


def test_a_line_cut_off_by_a_kill_is_dropped(tmp_path: Path) -> None:
    record = TrialRecord(number=0, family="dummy", parameters={}, state="complete", score=0.5, fold_scores=(0.5,))
    Journal(tmp_path, "study", "roc_auc", ["dummy"]).append(record, {})
    with (tmp_path / FILE).open("ab") as stream:
        stream.write(b'{"op_code": 4, "worker')
    again = Journal(tmp_path, "study", "roc_auc", ["dummy"])
    assert again.records() == {0: record}
    again.append(record.model_copy(update={"number": 1}), {})
    assert len(Journal(tmp_path, "study", "roc_auc", ["dummy"]).records()) == 2


def test_what_had_no_time_before_is_tried_anew(tmp_path: Path) -> None:
    settings = SearchSection(trials=4, families=FEW, workers=1)
    cut = TrialRecord(number=0, family="boosting", parameters={}, state="unfinished", screening=True)
    journal = Journal(tmp_path, study_name(problem(Task.BINARY), settings), "roc_auc", FEW)
    journal.append(cut, {})
    result = search(problem(Task.BINARY), settings, tmp_path)
    assert [(one.number, one.family, one.state) for one in result.trials] == [
        (number, family, "complete") for number, family in enumerate(FEW)
    ]


def test_two_searches_cannot_share_a_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(TrainingError, match="another process is searching here"):
        search(problem(Task.BINARY), SETTINGS, tmp_path)
