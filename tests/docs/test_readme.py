"""Every command of the README runs, as it stands there."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tiltyard.stack.marks import marked

HOUSE = Path(__file__).parents[2]
BLOCKS = re.findall(r"```sh\n(.*?)```", (HOUSE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
LINES = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines()]
STACK = LINES.index("tiltyard up --detach")
COMMANDS = [line for line in LINES[:STACK] if line.startswith("tiltyard ")]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, and the command `tiltyard` for a shell in it."""
    folder = tmp_path_factory.mktemp("reader")
    rows = ("age,plan,churned\n", *(_row(number) for number in range(400)))
    (folder / "data.csv").write_text("".join(rows), encoding="utf-8")
    command = folder / "bin" / "tiltyard"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tiltyard "$@"\n', encoding="utf-8")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return folder


def _row(number: int) -> str:
    """A customer; the young on the basic plan leave as a rule."""
    age, plan = 20 + number * 7 % 60, ("basic", "gold", "team")[number % 3]
    leaves = (age < 40) == (plan == "basic") if number % 9 else number % 2 == 0
    return f"{age},{plan},{'yes' if leaves else 'no'}\n"


def _environment(folder: Path) -> dict[str, str]:
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(HOUSE), "TILTYARD_ACTOR": "reader"}


@pytest.fixture(scope="module")
def done(folder: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """What every command but the server's answered, run one after the other."""
    environment = _environment(folder)

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return {command: run(command) for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs(command: str, done: dict[str, subprocess.CompletedProcess[str]]) -> None:
    assert done[command].returncode == 0, done[command].stderr


def _run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = _environment(folder)
    return subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_stack_comes_up_answers_and_goes_down(
    folder: Path, done: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    assert done
    curl = shutil.which("curl") or pytest.skip("there is no curl here")
    up, ask, tell, *look, status, down = LINES[STACK:]
    try:
        started = _run(f"{up} --json", folder)
        assert started.returncode == 0, started.stderr
        patiently = f"{curl} --fail --silent --show-error --retry 30 --retry-delay 1 "
        ask = ask.replace("curl ", patiently, 1)
        answer = _run(ask.replace("localhost:8080", json.loads(started.stdout)["server"]), folder)
        assert answer.returncode == 0, answer.stderr
        assert '"version":1' in answer.stdout.replace(" ", "")
        assert '"probabilities"' in answer.stdout
        (folder / "labels.csv").write_text(f"id,label\n{json.loads(answer.stdout)['id']}-0,no\n", encoding="utf-8")
        for line in (tell, *look):
            ran = _run(line, folder)
            assert ran.returncode == 0, f"{line}: {ran.stdout}{ran.stderr}"
        assert "version 1" in _run(status, folder).stdout
    finally:
        assert _run(down, folder).returncode == 0
    assert marked(folder / ".tiltyard") == []
    logged = pd.read_parquet(folder / ".tiltyard" / "store" / "predictions")
    assert logged["request"].tolist() == [json.loads(answer.stdout)["id"]]


def test_the_verbs_of_the_readme_are_the_makefile_s() -> None:
    verbs = [line.split()[1] for line in LINES if line.startswith("make ")]
    assert verbs == ["demo", "test"]
    for verb in verbs:
        subprocess.run(["make", "-n", verb], cwd=HOUSE, check=True, capture_output=True)


def test_every_line_of_a_block_is_tested() -> None:
    known = ("tiltyard ", "curl ", "make ")
    assert [line for line in LINES if line and not line.startswith(known)] == []
