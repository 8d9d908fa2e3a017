"""Every command of the README runs, as it stands there."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
BLOCKS = re.findall(r"```sh\n(.*?)```", (HOUSE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
LINES = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("tiltyard ") and " serve " not in line]
PATIENCE = 120.0

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


@pytest.fixture
def port(folder: Path, done: dict[str, subprocess.CompletedProcess[str]]) -> Iterator[int]:
    """The README's server, on a port that is free here."""
    assert done
    (line,) = [line for line in LINES if " serve " in line]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    command = line.replace("8080", str(free)).split()
    with subprocess.Popen(command, cwd=folder, env=_environment(folder), stderr=subprocess.DEVNULL) as server:
        try:
            yield free
        finally:
            server.terminate()
            server.wait(timeout=30)


def test_a_request_is_answered(port: int, folder: Path) -> None:
    curl = shutil.which("curl") or pytest.skip("there is no curl here")
    _wait(f"http://127.0.0.1:{port}/health/ready")
    (line,) = [line for line in LINES if line.startswith("curl ")]
    line = line.replace("curl ", f"{curl} --fail --silent --show-error ", 1).replace(
        "localhost:8080", f"127.0.0.1:{port}"
    )
    answer = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert '"version":1' in answer.stdout.replace(" ", "")
    assert '"probabilities"' in answer.stdout


def _wait(url: str) -> None:
    """Wait until the server is ready."""
    start = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() - start < PATIENCE, "the server is not ready"
            time.sleep(0.2)


def test_the_verbs_of_the_readme_are_the_makefile_s() -> None:
    verbs = [line.split()[1] for line in LINES if line.startswith("make ")]
    assert verbs == ["demo", "test"]
    for verb in verbs:
        subprocess.run(["make", "-n", verb], cwd=HOUSE, check=True, capture_output=True)


def test_every_line_of_a_block_is_tested() -> None:
    known = ("tiltyard ", "curl ", "make ")
    assert [line for line in LINES if line and not line.startswith(known)] == []
