"""Wrong calls: one clear line on stderr, the exit code of the mistake, nothing changed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Tiltyard
from tiltyard import __version__
from tiltyard.errors import ConflictError, DataError

WRONG = [
    (["trian"], 2, "No such command 'trian'. Did you mean 'train'?"),
    (["train", "--sconds", "3"], 2, "No such option: --sconds"),
    (["train", "--seconds", "soon"], 2, "Invalid value for '--seconds'"),
    (["train", "--seconds", "0"], 2, "Invalid value for '--seconds'"),
    (["train", "--trials", "-1"], 2, "Invalid value for '--trials'"),
    (["train", "--project", "nowhere"], 2, "nowhere: there is no such file. Write one with `tiltyard init"),
    (["init", "table.csv"], 2, "Missing option '--target'"),
    (["init", "--target", "y"], 2, "Missing argument 'table'"),
    (["predict", "table.csv"], 2, "Missing option '--output'"),
    (["promote", "seven", "--reason", "x"], 2, "Invalid value for 'VERSION'"),
    (["promote", "0", "--reason", "x"], 2, "Invalid value for 'VERSION'"),
    (["promote", "7"], 2, "Missing option '--reason'"),
    (["serve", "--port", "99999"], 2, "Invalid value for '--port'"),
    (["serve", "--workers", "0"], 2, "Invalid value for '--workers'"),
    (["history", "--at", "tuesday"], 2, "`tuesday` is not a time. Write it as in 2026-11-17T14:00 (UTC)."),
    (["history", "extra"], 2, "Got unexpected extra argument"),
]


@pytest.mark.parametrize(("words", "code", "sentence"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_a_wrong_call_gets_one_line_and_changes_nothing(
    tiltyard: Tiltyard, project: Path, words: list[str], code: int, sentence: str
) -> None:
    before = sorted(project.rglob("*"))
    said = tiltyard(*words)
    assert said.code == code
    assert sentence.lower() in said.err.lower()
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert sorted(project.rglob("*")) == before


def test_a_usage_error_names_the_help_that_cures_it(tiltyard: Tiltyard) -> None:
    assert "See `tiltyard predict --help`." in tiltyard("predict").err


def test_without_a_word_the_help_is_shown(tiltyard: Tiltyard) -> None:
    said = tiltyard()
    assert said.code == 2
    assert "Commands:" in said.err


def test_an_error_ends_with_its_own_exit_code(tiltyard: Tiltyard, monkeypatch: pytest.MonkeyPatch) -> None:
    _replace_schema(monkeypatch, ConflictError("somebody else was first", where="churn", cure="Look again."))
    said = tiltyard("schema")
    assert (said.code, said.err) == (7, "tiltyard: churn: somebody else was first. Look again.\n")


def test_a_list_of_problems_has_one_line_each(tiltyard: Tiltyard, monkeypatch: pytest.MonkeyPatch) -> None:
    _replace_schema(monkeypatch, DataError("2 checks are broken:\n1. This.\n\n2.  That."))
    said = tiltyard("schema")
    assert (said.code, said.err) == (3, "tiltyard: 2 checks are broken:\n1. This.\n2. That.\n")


def test_a_fault_of_ours_gets_a_sentence_and_a_log(
    tiltyard: Tiltyard, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _replace_schema(monkeypatch, ZeroDivisionError("division by zero"))
    said = tiltyard("schema")
    assert said.code == 1
    assert "this should not have happened (ZeroDivisionError: division by zero)" in said.err
    assert "Traceback" not in said.err
    (log,) = (project / ".tiltyard" / "logs").iterdir()
    assert str(log) in said.err
    assert "Traceback" in log.read_text()


def test_a_log_finds_a_place_in_a_folder_without_permission(
    tiltyard: Tiltyard, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".tiltyard").write_text("in the way")
    monkeypatch.setenv("TMPDIR", str(project))
    monkeypatch.setattr("tempfile.tempdir", str(project))
    _replace_schema(monkeypatch, ZeroDivisionError("x"))
    assert str(project / "error-") in tiltyard("schema").err


def _replace_schema(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the command `schema` fail."""

    def fail() -> str:
        raise error

    monkeypatch.setattr("tiltyard.project.schema.schema_text", fail)


def test_ctrl_c_ends_with_130_and_no_traceback(project: Path) -> None:
    # A test run in the background of a shell inherits SIGINT as ignored, so the child takes it back.
    code = (
        "import os, signal, sys, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tiltyard.cli import app\nimport tiltyard.project.schema as schema\n"
        "def wait():\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "schema.schema_text = wait\nsys.exit(app.main(['schema']))\n"
    )
    house = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(house)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=project, env=environment, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_closed_pipe_is_no_error(project: Path) -> None:
    house = Path(__file__).parents[2]
    line = f"{sys.executable} -m tiltyard schema | true; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": str(house)}
    done = subprocess.run(
        ["bash", "-c", line], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "should not have happened" not in done.stderr


def test_errors_are_red_on_a_terminal_only(tiltyard: Tiltyard, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in tiltyard("trian").err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    red = tiltyard("trian").err
    assert red.startswith("\x1b[31mtiltyard: No such command")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in tiltyard("trian").err


def test_the_version_is_printed(tiltyard: Tiltyard) -> None:
    said = tiltyard("--version")
    assert (said.code, said.out) == (0, f"tiltyard {__version__}\n")
