"""A budget of memory: models are loaded when somebody asks, the longest unused leave, and everybody is answered."""

import asyncio
import dataclasses
import json
from pathlib import Path

import pytest

from tests.serving.servers import planned
from tiltyard.serving.asgi import App
from tiltyard.serving.following import PlanFollower, to_leave
from tiltyard.serving.plan import CandidatePlan, Plan, write_plan
from tiltyard.serving.settings import WorkerSettings
from tiltyard.serving.slots import LEAST_MEGABYTES, Served

NAMES = ("a", "b", "c", "d")
ROOM_FOR_TWO = 2.5 * LEAST_MEGABYTES


class Replica:
    """A worker without its sockets.

    Args:
        folder: For its plan and bundles.
        plan: Its plan.
        memory_mb: Its budget.
    """

    def __init__(self, folder: Path, plan: Plan, memory_mb: float | None) -> None:
        write_plan(folder / "plan.json", plan)
        settings = WorkerSettings(names=NAMES, plan=folder / "plan.json", socket=0, parent=1, memory_mb=memory_mb)
        self.follower = PlanFollower(settings)
        self.app = App(Served(names=NAMES, used={}))
        self.app.served = self.follower.load(self.app.served)
        self.app.loader = self.fetch
        self.fetched: list[str] = []

    async def fetch(self, name: str) -> None:
        """Load a model that somebody asks for."""
        self.fetched.append(name)
        self.app.served = self.follower.fetch(self.app.served, name)

    @property
    def loaded(self) -> set[str]:
        """The models in memory."""
        return set(self.app.served.slots)

    def ask(self, name: str) -> tuple[int, float | str]:
        """Return status and prediction, or what is wrong."""
        return asyncio.run(self.asked(name))

    async def asked(self, name: str) -> tuple[int, float | str]:
        """Ask for a prediction."""
        sent = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b'{"rows": [{"price": 1}]}'}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        path = f"/v1/models/{name}/predict"
        await self.app({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)
        body = json.loads(sent[1]["body"])  # type: ignore[arg-type]  # bytes, by the protocol
        status = int(str(sent[0]["status"]))
        return status, body["predictions"][0]["prediction"] if status == 200 else body["error"]["what"]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan of four models that predict their place in the alphabet."""
    return Plan(models={name: planned(tmp_path / name, number) for number, name in enumerate(NAMES, start=1)})


def test_without_a_budget_all_models_are_there(tmp_path: Path, plan: Plan) -> None:
    replica = Replica(tmp_path, plan, None)
    assert (replica.loaded, replica.app.served.waiting) == (set(NAMES), {})


def test_models_come_when_they_are_asked_for_and_the_longest_unused_leave(tmp_path: Path, plan: Plan) -> None:
    replica = Replica(tmp_path, plan, ROOM_FOR_TWO)
    assert replica.loaded == set()
    assert all(replica.app.served.answers(name) for name in NAMES)
    assert [replica.ask(name) for name in "aba"] == [(200, 1.0), (200, 2.0), (200, 1.0)]
    assert replica.ask("c") == (200, 3.0)
    assert replica.loaded == {"a", "c"}
    assert [replica.ask(name)[1] for name in "dcbadcba"] == [4.0, 3.0, 2.0, 1.0] * 2
    assert len(replica.loaded) == 2


def test_a_model_larger_than_the_budget_is_answered_for_alone(tmp_path: Path, plan: Plan) -> None:
    replica = Replica(tmp_path, plan, LEAST_MEGABYTES / 2)
    assert [replica.ask(name)[0] for name in "abab"] == [200] * 4
    assert replica.loaded == {"b"}


def test_the_champion_of_a_rollout_stays(tmp_path: Path, plan: Plan) -> None:
    candidate = CandidatePlan(slot=planned(tmp_path / "next", 9), start=1, strategy="shadow")
    replica = Replica(tmp_path, plan.with_candidate("a", candidate), ROOM_FOR_TWO)
    assert replica.loaded == {"a"}
    assert [replica.ask(name)[0] for name in "bcdbcd"] == [200] * 6
    assert replica.loaded == {"a", "d"}
    assert replica.app.served.candidates["a"].slot.version == 9


def test_a_change_of_the_plan_reaches_models_in_and_out_of_memory(tmp_path: Path, plan: Plan) -> None:
    replica = Replica(tmp_path, plan, ROOM_FOR_TWO)
    assert replica.ask("a") == (200, 1.0)
    newer = plan.with_slot("a", planned(tmp_path / "next", 7)).with_slot("b", planned(tmp_path / "next", 8))
    write_plan(tmp_path / "plan.json", newer)
    replica.app.served = replica.follower.load(replica.app.served)
    assert (replica.ask("a"), replica.ask("b")) == ((200, 7.0), (200, 8.0))


def test_a_model_that_cannot_be_loaded_is_said_to_be_so_and_others_answer(tmp_path: Path, plan: Plan) -> None:
    replica = Replica(tmp_path, plan, ROOM_FOR_TWO)
    Path(plan.models["a"].bundle, "model.onnx").write_bytes(b"")
    status, what = replica.ask("a")
    assert (status, what) == (503, "the model `a` has no champion here yet")
    assert replica.ask("b") == (200, 2.0)
    assert replica.ask("nobody")[0] == 404


def test_while_one_model_is_loaded_others_answer(tmp_path: Path, plan: Plan) -> None:
    replica = Replica(tmp_path, plan, ROOM_FOR_TWO)

    async def walk() -> None:
        await replica.fetch("a")
        ready = asyncio.Event()
        load = replica.fetch

        async def slowly(name: str) -> None:
            await ready.wait()
            await load(name)

        replica.app.loader = slowly
        waiting = asyncio.create_task(replica.asked("b"))
        assert await replica.asked("a") == (200, 1.0)
        assert not waiting.done()
        ready.set()
        assert await waiting == (200, 2.0)

    asyncio.run(walk())


def test_who_leaves_first_is_who_was_not_asked_for_the_longest_time(tmp_path: Path, plan: Plan) -> None:
    served = Replica(tmp_path, plan, None).app.served
    served = dataclasses.replace(served, used={"a": 4.0, "b": 1.0, "c": 3.0, "d": 2.0})
    one = served.slots["a"].megabytes
    assert to_leave(served, 4 * one) == frozenset()
    assert to_leave(served, 3.5 * one) == {"b"}
    assert to_leave(served, 2 * one, ("b",)) == {"d", "c"}
    assert to_leave(served, 0) == set(NAMES)
