"""Up and down, with stand-ins for the parts: what a person, a crash or a neighbour may do to a stack."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from tests.conftest import free_port
from tests.serving.certificates import certificate
from tests.stack.conftest import PROCESSES, Bring, eventually
from tiltyard.errors import StackError, UsageError
from tiltyard.project.addresses import Addresses, read_addresses
from tiltyard.stack import running
from tiltyard.stack.health import fetch, health
from tiltyard.stack.marks import MARK, end, marked
from tiltyard.stack.ports import Wishes
from tiltyard.stack.running import down
from tiltyard.stack.supervisor import socket_of

PARENT = """
import signal, subprocess, sys, time
from pathlib import Path
def take_down(*_):
    time.sleep(0.3)
    said.write_text("the child was there" if child.poll() is None else "the child was gone")
    child.kill()
    child.wait()
    sys.exit()
said, child = Path(sys.argv[1]), subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
signal.signal(signal.SIGTERM, take_down)
said.touch()
signal.pause()
"""


def listened_on(addresses: Addresses) -> list[str]:
    """Return those of a stack's addresses that still answer."""
    found = []
    for url in (addresses.prefect.removesuffix("/api"), addresses.mlflow, addresses.server):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0:
                found.append(url)
    return found


def nothing_is_left(home: Path, addresses: Addresses) -> bool:
    """Whether neither process nor port, address, socket or lock is left of a stack."""
    kept = {"logs", "secrets.json", "supervisord.conf"}
    urls = (addresses.prefect.removesuffix("/api"), addresses.mlflow, addresses.server)
    claims = [f"tiltyard-{os.getuid()}-port-{url.rpartition(':')[2]}.lock" for url in urls]
    return (
        not marked(home)
        and not listened_on(addresses)
        and {file.name for file in (home / "stack").iterdir()} <= kept
        and not socket_of(home).exists()
        and not any(Path(tempfile.gettempdir(), claim).exists() for claim in claims)
    )


def states(addresses: Addresses) -> set[str]:
    """Return the states of the parts."""
    return {part.state for part in health(addresses)}


def test_a_stack_comes_up_and_goes_down_without_a_trace(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / "how").write_text("stubborn")
    told: list[Addresses] = []
    stack = bring(prepare=told.append)
    assert told == [stack.addresses] == [read_addresses(tmp_path)]
    assert not stack.already
    assert states(stack.addresses) == {"up"}
    assert down(tmp_path)
    assert nothing_is_left(tmp_path, stack.addresses)
    assert not down(tmp_path)


@pytest.mark.exhaustive
def test_up_and_down_in_a_row_leave_nothing(bring: Bring, tmp_path: Path) -> None:
    for _ in range(10):
        stack = bring()
        assert states(stack.addresses) == {"up"}
        assert down(tmp_path)
        assert nothing_is_left(tmp_path, stack.addresses)


def test_a_model_server_with_a_certificate_is_asked_by_https_and_known_by_it_whatever_its_dates(
    bring: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, other = certificate(tmp_path / "tls", days=-1, begins=-3), certificate(tmp_path / "other")
    monkeypatch.setenv("TILTYARD_SERVE_TLS_CERT", str(files.certificate))
    monkeypatch.setenv("TILTYARD_SERVE_TLS_KEY", str(files.key))
    stack = bring(certificate=files.certificate)
    assert stack.addresses.server.startswith("https://")
    assert states(stack.addresses) == {"up"}
    assert fetch(stack.addresses.server, certificate=stack.addresses.certificate) == {}
    with pytest.raises(StackError, match="certificate verify failed"):
        fetch(stack.addresses.server, certificate=str(other.certificate))


def test_a_second_up_finds_the_first(bring: Bring, tmp_path: Path) -> None:
    first = bring(projects=("churn.yaml", "fraud.yaml"))
    again = bring(projects=("fraud.yaml",), prepare=lambda _: pytest.fail("it is up already"))
    assert (again.already, again.addresses) == (True, first.addresses)
    with pytest.raises(UsageError, match=r"is up for .*churn.yaml.* and not for .*demand.yaml"):
        bring(projects=("demand.yaml",))
    assert read_addresses(tmp_path) == first.addresses


def test_of_two_at_the_same_moment_one_starts_the_stack(bring: Bring, tmp_path: Path) -> None:
    found = []
    threads = [threading.Thread(target=lambda: found.append(bring())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stack.already for stack in found) == [False, True]
    assert found[0].addresses == found[1].addresses
    assert len(marked(tmp_path)) == PROCESSES


def test_two_homes_live_side_by_side(bring: Bring, tmp_path: Path) -> None:
    found = {}
    homes = [tmp_path / "one", tmp_path / "two"]
    threads = [threading.Thread(target=lambda home=home: found.update({home: bring(home)})) for home in homes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one, two = (found[home].addresses for home in homes)
    assert len({one.prefect, one.mlflow, one.server, two.prefect, two.mlflow, two.server}) == 6
    assert down(homes[0])
    assert nothing_is_left(homes[0], one)
    assert states(two) == {"up"}


def test_what_a_killed_supervisor_leaves_is_ended_by_down(bring: Bring, tmp_path: Path) -> None:
    stack = bring()
    os.kill(stack.addresses.supervisor, signal.SIGKILL)
    eventually(lambda: read_addresses(tmp_path) is None)
    assert len(marked(tmp_path)) == PROCESSES - 1
    assert down(tmp_path)
    assert nothing_is_left(tmp_path, stack.addresses)


def test_who_has_started_others_is_asked_to_end_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "said")])
    eventually((tmp_path / "said").exists)
    assert end(tmp_path, patience=30) == 2
    assert (parent.wait(), (tmp_path / "said").read_text()) == (0, "the child was there")


def test_what_a_killed_supervisor_leaves_is_ended_by_up(bring: Bring, tmp_path: Path) -> None:
    first = bring()
    left = {process.pid for process in marked(tmp_path)}
    os.kill(first.addresses.supervisor, signal.SIGKILL)
    eventually(lambda: read_addresses(tmp_path) is None)
    second = bring()
    assert not second.already
    assert second.cleared == PROCESSES - 1
    assert not left & {process.pid for process in marked(tmp_path)}
    assert states(second.addresses) == {"up"}


def test_killed_parts_are_started_again(bring: Bring) -> None:
    stack = bring()
    before = {part.part: part.pid for part in health(stack.addresses)}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: states(stack.addresses) == {"up"})
    after = {part.part: part.pid for part in health(stack.addresses)}
    assert all(psutil.pid_exists(pid) and pid != before[name] for name, pid in after.items())


def test_a_part_that_does_not_start_takes_everything_down(
    bring: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MOST_STARTS", 1)
    (tmp_path / "how").write_text("mlflow fails")
    with pytest.raises(StackError, match="MLflow ends again and again") as caught:
        bring()
    assert "mlflow has no mind to" in str(caught.value)
    assert marked(tmp_path) == []
    assert read_addresses(tmp_path) is None


def test_a_failure_or_ctrl_c_after_the_start_takes_everything_down(bring: Bring, tmp_path: Path) -> None:
    def interrupt(_: Addresses) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(prepare=interrupt)
    assert marked(tmp_path) == []
    assert read_addresses(tmp_path) is None


def test_chosen_ports_are_taken_and_taken_ones_refused(bring: Bring, tmp_path: Path) -> None:
    port = free_port()
    stack = bring(wishes=Wishes(server=port))
    assert stack.addresses.server == f"http://127.0.0.1:{port}"
    with pytest.raises(UsageError, match=f"the port {port} is taken by process .*standin.py"):
        bring(tmp_path / "other", Wishes(server=port))


def test_a_home_of_any_length_and_letters(bring: Bring, tmp_path: Path) -> None:
    home = tmp_path / 'a "long" road; it\'s 100 % # ünï' / ("x" * 100)
    stack = bring(home)
    assert states(stack.addresses) == {"up"}
    assert socket_of(home).parent == Path(tempfile.gettempdir())
    assert down(home)
    assert nothing_is_left(home, stack.addresses)


def test_a_home_that_cannot_be_written_is_explained(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / "stack").write_text("a file where the folder should be")
    with pytest.raises(StackError, match=r"the home cannot be written .* give another home with TILTYARD_HOME"):
        bring()
    (tmp_path / "stack").unlink()
