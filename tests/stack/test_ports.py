"""The choice of ports."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import free_port
from tiltyard.errors import UsageError
from tiltyard.stack import ports
from tiltyard.stack.ports import Wishes, claim, listener, sweep

HOST = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.create_server((HOST, 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Usual ports that are free on this machine."""
    free = {name: free_port() for name in ports.USUAL}
    monkeypatch.setattr(ports, "USUAL", free)
    return free


def test_the_usual_ports_are_taken_when_they_are_free(usual: dict[str, int]) -> None:
    with claim(Wishes(), HOST) as chosen:
        assert vars(chosen) == usual


def test_a_taken_usual_port_gives_way_to_a_free_one(
    taken: int, usual: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "USUAL", usual | {"mlflow": taken})
    with claim(Wishes(), HOST) as chosen:
        assert chosen.mlflow not in {taken, *usual.values()}
        assert (chosen.prefect, chosen.server) == (usual["prefect"], usual["server"])


def test_what_another_stack_has_claimed_is_not_taken(usual: dict[str, int]) -> None:
    with claim(Wishes(), HOST) as first, claim(Wishes(), HOST) as second:
        assert not set(vars(first).values()) & set(vars(second).values())
        with (
            pytest.raises(UsageError, match="is being taken by another stack"),
            claim(Wishes(server=first.server), HOST),
        ):
            pass
    with claim(Wishes(), HOST) as again:
        assert vars(again) == usual


def test_a_port_chosen_for_one_part_is_not_given_to_another(usual: dict[str, int]) -> None:
    with claim(Wishes(server=usual["prefect"]), HOST) as chosen:
        assert chosen.server == usual["prefect"] != chosen.prefect


@pytest.mark.parametrize(
    ("wishes", "host", "said"),
    [
        (Wishes(server=9000, mlflow=9000), HOST, "the port 9000 is chosen twice"),
        (Wishes(), "203.0.113.7", "cannot be listened on"),
        (Wishes(server=9000), "no-such-host.invalid", "cannot be listened on"),
    ],
)
def test_what_cannot_be_listened_on_is_explained(wishes: Wishes, host: str, said: str) -> None:
    with pytest.raises(UsageError, match=said), claim(wishes, host):
        pass


def test_who_has_a_port_is_named(taken: int) -> None:
    process = listener(taken)
    assert process is not None
    said = rf"{taken} is taken by process {process.pid}, .* --mlflow-port"
    with pytest.raises(UsageError, match=said), claim(Wishes(mlflow=taken), HOST):
        pass
    assert listener(free_port()) is None


def test_only_claims_of_the_dead_are_swept(usual: dict[str, int]) -> None:
    left = Path(tempfile.gettempdir()) / f"tiltyard-{os.getuid()}-port-{free_port()}.lock"
    left.touch()
    with claim(Wishes(), HOST):
        sweep()
        assert not left.exists()
        assert all(left.with_name(f"tiltyard-{os.getuid()}-port-{port}.lock").exists() for port in usual.values())
