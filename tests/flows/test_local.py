"""Prefect without a server: where it lives, and what a killed run leaves behind."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from prefect.context import SyncClientContext
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.local import is_temporary, prepare, temporary_server
from flows.orchestrator import using
from flows.temporary import TemporaryServer
from tests.conftest import free_port
from tiltyard.errors import OrchestrationError
from tiltyard.project.environment import Workplace


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """A project's place, with nothing of Prefect in the environment."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    before = dict(os.environ)
    yield Workplace(tmp_path / "deep" / "tiltyard.yaml")
    os.environ.clear()
    os.environ.update(before)


def orphan(prefect_home: Path) -> psutil.Process:
    """Start what looks like the temporary server of a killed run: its parent is gone."""
    words = [sys.executable, "-c", "import time; time.sleep(60)", "prefect.server.api.server:create_app"]
    shell = f"{shlex.join(words)} >/dev/null 2>&1 & echo $!"
    environment = os.environ | {"PREFECT_HOME": str(prefect_home)}
    done = subprocess.run(["sh", "-c", shell], env=environment, capture_output=True, text=True, check=True)
    return psutil.Process(int(done.stdout))


def test_folder_is_made_and_what_the_user_set_stays(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "INFO")
    prepare(workplace)
    assert workplace.home.is_dir()
    assert os.environ["PREFECT_HOME"] == str(workplace.home / "prefect")
    assert os.environ["PREFECT_LOGGING_LEVEL"] == "INFO"


def test_server_of_a_killed_run_is_ended_and_no_other(workplace: Workplace, tmp_path: Path) -> None:
    ours, other = orphan(workplace.home / "prefect"), orphan(tmp_path / "elsewhere")
    if ours.ppid() != 1:
        ours.kill()
        other.kill()
        pytest.skip("orphans have another parent here")
    prepare(workplace)
    assert ours.wait(10) in {None, -signal.SIGTERM}
    assert other.is_running()
    other.kill()


def test_a_temporary_server_answers_and_ends(workplace: Workplace) -> None:
    server = temporary_server(workplace)
    assert server is not None
    assert temporary_server(workplace) is server
    server.wait()
    assert is_temporary(server.api)
    with using(server):
        assert PREFECT_API_URL.value() == server.api
    server.stop()
    assert not server.alive
    with pytest.raises(OrchestrationError, match="ended as it started"):
        server.wait()


@pytest.mark.exhaustive
def test_two_that_start_at_once_in_a_new_home_take_turns(workplace: Workplace) -> None:
    prepare(workplace)
    home = workplace.home / "prefect"
    with ThreadPoolExecutor() as threads:
        first = TemporaryServer(home)
        second = threads.submit(TemporaryServer, home)
        first.wait()
        second.result().wait()
    assert first.alive
    assert second.result().alive
    first.stop()
    second.result().stop()


@pytest.mark.parametrize("known", ["address", "profile"])
def test_no_temporary_server_where_another_is_named(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    if known == "address":
        monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    else:
        profiles = workplace.home / "prefect" / "profiles.toml"
        profiles.parent.mkdir(parents=True)
        profiles.touch()
    assert temporary_server(workplace) is None


def test_a_server_that_is_away_is_explained(on_prefect_server: str) -> None:
    away = f"http://127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: away}),
        pytest.raises(OrchestrationError, match="does not answer") as raised,
        using(None),
        SyncClientContext(),
    ):
        pass
    assert raised.value.where == away != on_prefect_server
