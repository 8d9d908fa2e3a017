"""The server of hand-made bundles, for every protocol; and one whose answers depend on every bit of a row."""

from collections.abc import Iterator

import pytest

from tests.conftest import free_port
from tests.protocols.models import CONTRACTS, write_models
from tests.serving.conftest import served
from tests.serving.servers import Server, eventually, running
from tiltyard.serving.settings import Limits
from tiltyard.serving.slots import Served, load_slot

__all__ = ["served"]


@pytest.fixture(scope="session")
def weighing(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A server with a model of each task, and one that has no champion yet."""
    plan = write_models(tmp_path_factory.mktemp("models"))
    slots = {name: load_slot(name, planned) for name, planned in plan.models.items()}
    return Served(names=(*CONTRACTS, "waiting"), slots=slots, limits=Limits(body_bytes=100_000, rows=100))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with a model of each task, without a registry."""
    folder = tmp_path_factory.mktemp("protocols")
    away = f"http://127.0.0.1:{free_port()}"
    plan = write_models(folder)
    with running(folder / "home", names=",".join(CONTRACTS), tracking_uri=away, plan=plan, poll=30.0) as made:
        eventually(made.ready)
        yield made
