"""`tiltyard up`, `down`, `status` and `logs`, on a real stack."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import PROJECT, Tiltyard
from tests.conftest import free_port
from tiltyard.stack.marks import marked

CONTRACT = """\
task: binary
classes: ['no', 'yes']
columns:
- {name: age, kind: number}
- {name: churned, kind: category, levels: ['no', 'yes'], role: target}
"""
SECONDS = 300


class Yard:
    """A project in a folder whose name is no friend of shells, and the command line in processes of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "it's a yard, 100 %"
        self.folder.mkdir()
        self.home = self.folder / ".tiltyard"
        self.write(schedule="{cron: '0 3 * * 1', timezone: Europe/Berlin}")

    def write(self, *, schedule: str) -> None:
        """Write the project file and its contract."""
        (self.folder / "tiltyard.yaml").write_text(f"{PROJECT}schedule: {schedule}\n", encoding="utf-8")
        (self.folder / "contract.yaml").write_text(CONTRACT, encoding="utf-8")

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run a command and return what it printed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "PREFECT", "TILT"))}
        done = subprocess.run(
            [sys.executable, "-m", "tiltyard", *words],
            cwd=self.folder,
            env=kept | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def read(self, *words: str) -> Any:
        """Run a command that prints JSON."""
        return json.loads(self(*words, "--json"))


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """A folder with a project, taken down at the end."""
    place = Yard(tmp_path_factory.mktemp("yard"))
    yield place
    place("down")


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_a_stack_from_up_to_down(yard: Yard) -> None:
    port = free_port()
    up = yard.read("up", "--detach", "--port", str(port), "--mlflow-port", str(free_port()))
    assert not up["already"]
    assert up["server"] == f"http://127.0.0.1:{port}"
    assert yard("up").startswith("Already up.")
    status = yard.read("status")
    assert [(part["part"], part["state"]) for part in status["parts"]] == [
        (name, "up") for name in ("prefect", "mlflow", "server", "worker")
    ]
    churn = status["projects"][0]
    assert (churn["name"], churn["schedule"]) == ("churn", "0 3 * * 1 (Europe/Berlin)")
    assert churn["served"]["version"] is None
    assert churn["trouble"] == []
    assert "listening on" in yard("logs", "server")
    assert yard("down") == "Down.\n"
    assert marked(yard.home) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port))
    assert yard("down") == "Nothing is up here.\n"


@pytest.mark.exhaustive
@pytest.mark.timeout(3000)
def test_ten_times_up_and_down_leaves_nothing(yard: Yard) -> None:
    for _ in range(10):
        assert yard("up", "--detach").startswith("Up.")
        assert yard("down") == "Down.\n"
        assert marked(yard.home) == []
        left = {file.name for file in (yard.home / "stack").iterdir()}
        assert left == {"logs", "secrets.json", "supervisord.conf"}


def test_a_taken_port_and_a_broken_project_start_nothing(yard: Yard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"the port {port} is taken by process {os.getpid()}" in yard("up", "--prefect-port", port, code=2)
    yard.write(schedule="{cron: never}")
    assert "`schedule.cron: never` has 1 field, and cron five" in yard("up", code=2)
    assert yard("down") == "Nothing is up here.\n"
    assert marked(yard.home) == []


def test_status_without_a_stack_shows_the_ledger(tiltyard: Tiltyard) -> None:
    said = tiltyard("status")
    assert said.code == 0
    assert "No local stack is up here" in said.out
    assert "none yet; `tiltyard train` makes the first" in said.out
    assert json.loads(tiltyard("status", "--json").out)["stack"] is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("logs", "mlfow"), "there is no part `mlfow`. Did you mean `mlflow`?"),
        (("status", "--watch", "--json"), "Give one of them"),
        (("up", "--port", "9000", "--mlflow-port", "9000"), "the port 9000 is chosen twice"),
        (("up", "--project", ".", "--project", "."), "two projects are named `churn`"),
        (("up", "--host", "no-such-host.invalid"), "cannot be listened on"),
    ],
)
def test_mistakes_are_explained(tiltyard: Tiltyard, words: tuple[str, ...], sentence: str) -> None:
    said = tiltyard(*words)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err


def test_logs_of_a_stack_that_never_was(tiltyard: Tiltyard) -> None:
    assert "`tiltyard up` starts what writes them" in tiltyard("logs").err
