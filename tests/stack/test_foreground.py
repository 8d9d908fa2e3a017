"""`tiltyard up` without --detach: it stays, and takes everything down when it is told to end."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack.conftest import eventually
from tiltyard.project.addresses import read_addresses
from tiltyard.stack.marks import marked
from tiltyard.stack.running import down

PROJECT = "name: churn\ntask: {kind: binary}\ndata: {source: table.csv, target: churned}\n"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def stays(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A command that has brought its stack up and stays with it."""
    (tmp_path / "tiltyard.yaml").write_text(PROJECT, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "TILTYARD_HOME"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.stack.foreground"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = iter(process.stdout.readline, "")
        assert any("Ctrl-C takes everything down." in line for line in said)
        yield process
        process.kill()


def _told(number: signal.Signals) -> Callable[[subprocess.Popen[str], Path], object]:
    return lambda process, _: process.send_signal(number)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (_told(signal.SIGINT), "taking everything down"),
        pytest.param(_told(signal.SIGHUP), "taking everything down", marks=pytest.mark.exhaustive),
        (lambda _, folder: down(folder / ".tiltyard"), "The stack was taken down from elsewhere."),
    ],
    ids=["ctrl-c", "closed terminal", "down elsewhere"],
)
def test_it_ends_with_everything_down(
    stays: subprocess.Popen[str], tmp_path: Path, end: Callable[[subprocess.Popen[str], Path], object], said: str
) -> None:
    home = tmp_path / ".tiltyard"
    assert read_addresses(home)
    end(stays, tmp_path)
    out, _ = stays.communicate(timeout=180)
    assert (stays.returncode, said in out) == (0, True), out
    assert marked(home) == []


def test_the_stack_outlives_a_killed_command(stays: subprocess.Popen[str], tmp_path: Path) -> None:
    home = tmp_path / ".tiltyard"
    stays.kill()
    stays.wait()
    assert eventually(lambda: read_addresses(home))
    assert down(home)
