"""A rollout at the sidecar: what is planned, what is seen, what is decided, and what every failure leaves as it was."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.serving.benches import Bench, replayed
from tests.serving.registries import MODEL, Registered
from tiltyard.errors import RegistryError, StorageError
from tiltyard.evaluation.evidence import PairedCounts
from tiltyard.project.rollout import RolloutSection
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.refusals import SERVING_REFUSED
from tiltyard.registry.rollout import Rollout
from tiltyard.serving import checking
from tiltyard.serving.answers import About
from tiltyard.serving.champions import Champions
from tiltyard.serving.counting import metrics_folder
from tiltyard.serving.metrics import Metrics
from tiltyard.serving.plan import Plan
from tiltyard.serving.reports import Report
from tiltyard.serving.rollouts import IDLE
from tiltyard.serving.shadow import STATE, ShadowCounts, ShadowState

CANARY = RolloutSection(strategy="canary", steps=(0.1, 0.5), min_requests=(50,), key="price")


@pytest.fixture
def bench(registered: Registered, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A sidecar of a server whose champion is version 1, beside version 2."""
    monkeypatch.setattr(checking, "verify_bundle", replayed)
    registered.promote(registered.add())
    made = Bench(registered)
    made.look()
    registered.add()
    return made


def start(bench: Bench, settings: RolloutSection = CANARY, version: int = 2) -> Rollout:
    """Start a rollout, when the sidecar looks at the ledger again."""
    bench.now += IDLE
    return bench.registered.roll_out(version, settings)


def look(bench: Bench) -> Plan:
    """Look a second later."""
    bench.now += timedelta(seconds=1)
    return bench.look()


class Traffic:
    """What a worker of the bench's server counts."""

    def __init__(self, bench: Bench) -> None:
        self._metrics = Metrics(metrics_folder(bench.settings.plan))

    def answered(self, champion: int, candidate: int) -> None:
        """Count answers of versions 1 and 2."""
        for version, slot, count in ((1, "champion", champion), (2, "candidate", candidate)):
            for _ in range(count):
                self._metrics.count_answer(About(MODEL, version, slot), "own", 200, 0.001)

    def failed(self, count: int) -> None:
        """Count requests that version 2 failed on, and version 1 answered."""
        for _ in range(count):
            self._metrics.count_answer(About(MODEL, 1, "champion", failed=2), "own", 200, 0.001)

    def close(self) -> None:
        """End, as a worker does."""
        self._metrics.close()


Counting = Callable[[Bench], Traffic]


@pytest.fixture
def counting() -> Iterator[Counting]:
    """Make workers that count, and end them at the end."""
    with ExitStack() as stack:

        def made(bench: Bench) -> Traffic:
            return stack.enter_context(closing(Traffic(bench)))

        yield made


def compared(bench: Bench, *, rows: int = 2_000, apart: float = 0.0, non_finite: int = 0) -> None:
    """Write what the shadow found in the present step."""
    rollout = bench.registered.latest()
    paired = PairedCounts(
        count=rows,
        total=apart * rows,
        squares=apart**2 * rows + rows * 1e-6,
        largest=apart,
        champion_total=rows,
        champion_squares=2.0 * rows,
    )
    counts = ShadowCounts(
        start=rollout.sequence, step=rollout.step, version=rollout.version, paired=paired, non_finite=non_finite
    )
    state = ShadowState(models={MODEL: counts})
    (bench.settings.plan.parent / STATE).write_text(state.model_dump_json())


def test_a_candidate_is_placed_with_the_share_of_its_step(bench: Bench) -> None:
    rollout = start(bench)
    plan = look(bench)
    candidate = plan.candidates[MODEL]
    assert (candidate.slot.version, candidate.share, candidate.strategy) == (2, 0.1, "canary")
    assert (candidate.start, candidate.key, candidate.salt) == (rollout.sequence, "price", rollout.salt)
    assert plan.models[MODEL].version == 1
    assert look(bench) == plan
    bench.restart()
    assert look(bench) == plan


def test_a_canary_that_is_as_good_walks_to_the_end(counting: Counting, bench: Bench, registered: Registered) -> None:
    start(bench)
    look(bench)
    traffic = counting(bench)
    for _ in range(60):
        if bench.registered.latest().outcome == "promoted":
            break
        traffic.answered(champion=900, candidate=300)
        compared(bench)
        look(bench)
    plan = look(bench)
    assert (registered.alias(), plan.models[MODEL].version, plan.previous[MODEL].version) == (2, 2, 1)
    assert (plan.candidates, plan.stopped) == ({}, {})
    assert bench.kinds[-4:] == ["rollout_step", "rollout_ended", "promoting", "promoted"]
    assert bench.registered.latest().outcome == "promoted"


def test_a_candidate_that_fails_leaves_at_once_and_the_reason_is_written_down(
    counting: Counting, bench: Bench, registered: Registered
) -> None:
    start(bench)
    look(bench)
    traffic = counting(bench)
    traffic.answered(champion=50, candidate=3)
    traffic.failed(5)
    plan = look(bench)
    assert (plan.candidates, plan.models[MODEL].version) == ({}, 1)
    assert bench.registered.latest().outcome == "returned"
    assert "5 requests in a row" in bench.registered.latest().said
    assert "5 requests in a row" in registered.tags(2)[SERVING_REFUSED]
    assert registered.alias() == 1
    assert look(bench).stopped == {}


@pytest.mark.parametrize("down", ["store", "registry"])
def test_a_hard_stop_acts_while_registry_or_store_are_away_and_is_written_down_later(
    counting: Counting, bench: Bench, monkeypatch: pytest.MonkeyPatch, down: str
) -> None:
    start(bench)
    look(bench)
    counting(bench).failed(5)

    def away(*_: object, **__: object) -> None:
        raise (StorageError if down == "store" else RegistryError)("it is away", cure="Wait.")

    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "entries", away)
        broken.setattr(Champions, "glance", away)
        plan = look(bench)
        assert (plan.candidates, plan.models[MODEL].version) == ({}, 1)
        assert plan.stopped[MODEL].version == 2
        bench.restart()
        assert look(bench).candidates == {}
    assert bench.registered.latest().is_standing
    look(bench)
    assert bench.registered.latest().outcome == "returned"
    assert look(bench).stopped == {}


def test_a_candidate_that_answers_nan_leaves_at_once(bench: Bench) -> None:
    start(bench, RolloutSection(strategy="shadow", min_requests=(50,)))
    assert look(bench).candidates[MODEL].share == 0.0
    compared(bench, non_finite=1)
    assert look(bench).candidates == {}
    assert "not finite" in bench.registered.latest().said


def test_no_traffic_is_never_a_pass(bench: Bench, registered: Registered) -> None:
    start(bench)
    for _ in range(5):
        look(bench)
    assert (bench.registered.latest().outcome, bench.registered.latest().step) == (None, 0)
    bench.now = bench.registered.latest().since + timedelta(hours=CANARY.hours)
    look(bench)
    assert (bench.registered.latest().outcome, registered.alias()) == ("returned", 1)
    assert "no requests" in bench.registered.latest().said


def test_a_shadow_is_compared_and_promoted_without_ever_answering(bench: Bench, registered: Registered) -> None:
    start(bench, RolloutSection(strategy="shadow", min_requests=(500,)))
    look(bench)
    compared(bench, rows=100)
    assert look(bench).candidates[MODEL].share == 0.0
    compared(bench, rows=5_000)
    look(bench)
    assert (registered.alias(), look(bench).models[MODEL].version) == (2, 2)


def test_a_shadow_that_answers_otherwise_is_returned(bench: Bench) -> None:
    start(bench, RolloutSection(strategy="shadow", min_requests=(500,)))
    look(bench)
    compared(bench, rows=5_000, apart=3.0)
    assert look(bench).candidates == {}
    assert bench.registered.latest().outcome == "returned"


def test_blue_green_waits_until_every_worker_has_loaded_it(bench: Bench) -> None:
    start(bench, RolloutSection(strategy="blue_green", min_requests=(50,)))
    assert look(bench).candidates[MODEL].share == 0.0
    bench.settings = bench.settings.model_copy(update={"parent": os.getppid()})
    bench.restart()
    report(bench, Report())
    assert look(bench).candidates[MODEL].share == 0.0
    report(bench, Report(candidates={MODEL: 2}))
    assert look(bench).candidates[MODEL].share == 1.0
    report(bench, Report())
    assert look(bench).candidates[MODEL].share == 1.0


def report(bench: Bench, content: Report) -> None:
    """Write the report of a worker: this process, whose parent the bench's sidecar takes for the supervisor."""
    file = bench.settings.plan.parent / "workers" / f"{os.getpid()}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(content.model_dump_json())
    (file.parent / "999999999.json").write_text(Report(failed={MODEL: "of a dead worker"}).model_dump_json())


def test_a_candidate_that_a_worker_cannot_load_is_returned(bench: Bench) -> None:
    bench.settings = bench.settings.model_copy(update={"parent": os.getppid()})
    bench.restart()
    start(bench)
    look(bench)
    report(bench, Report(failed={MODEL: "out of memory"}))
    assert look(bench).candidates == {}
    assert "out of memory" in bench.registered.latest().said


BAD: dict[str, Callable[[Registered], int]] = {
    "golden rows": lambda registered: registered.add(expected=[99.0]),
    "damaged": lambda registered: registered.add(damage=True),
    "no bundle": lambda registered: registered.add(bundle=False),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_candidate_that_does_not_pass_is_returned_and_never_answers(
    bench: Bench, registered: Registered, kind: str
) -> None:
    version = BAD[kind](registered)
    start(bench, version=version)
    plan = look(bench)
    assert (plan.candidates, plan.models[MODEL].version) == ({}, 1)
    assert bench.registered.latest().outcome == "returned"
    assert registered.alias() == 1
    assert look(bench).stopped == {}


def test_a_move_by_hand_ends_the_rollout(bench: Bench, registered: Registered) -> None:
    start(bench)
    look(bench)
    registered.promote(registered.add())
    plan = look(bench)
    assert (plan.candidates, plan.models[MODEL].version) == ({}, 3)
    assert bench.registered.latest().outcome == "overtaken"


def test_what_was_seen_outlives_sidecar_and_workers(counting: Counting, bench: Bench) -> None:
    start(bench)
    look(bench)
    first = counting(bench)
    first.answered(champion=40, candidate=30)
    look(bench)
    bench.restart()
    first.close()
    counting(bench).answered(champion=40, candidate=30)
    compared(bench)
    look(bench)
    step = next(entry for entry in bench.ledger.entries() if entry.kind == "rollout_step")
    assert (step.evidence["requests"], step.evidence["champion_requests"]) == (60, 80)


def test_a_new_rollout_of_a_version_that_failed_before_begins_at_nothing(counting: Counting, bench: Bench) -> None:
    start(bench)
    look(bench)
    traffic = counting(bench)
    traffic.failed(5)
    look(bench)
    start(bench)
    plan = look(bench)
    assert plan.candidates[MODEL].slot.version == 2
    assert look(bench) == plan
    traffic.failed(5)
    assert look(bench).candidates == {}


def test_replicas_add_up_what_they_have_seen_and_decide_once(
    counting: Counting, bench: Bench, registered: Registered
) -> None:
    other = Bench(registered, replica="other")
    other.now = bench.now
    start(bench)
    for each in (bench, other):
        look(each)
        counting(each).answered(champion=30, candidate=30)
        compared_at(each, bench)
    look(bench)
    assert bench.registered.latest().step == 0
    look(other)
    assert (bench.registered.latest().step, bench.kinds.count("rollout_step")) == (1, 1)
    other.now += IDLE
    assert look(bench).candidates[MODEL].share == look(other).candidates[MODEL].share == 0.5
    evidence = next(entry.evidence for entry in bench.ledger.entries() if entry.kind == "rollout_step")
    assert evidence["requests"] == 60
    published = Path(registered.workplace.store).glob("rollouts/**/*.json")
    assert {json.loads(file.read_bytes())["rollout"] for file in published} == {bench.registered.latest().sequence}


def compared_at(bench: Bench, told: Bench) -> None:
    """Write what the shadow of a replica found."""
    if bench is told:
        compared(bench)
        return
    state = (told.settings.plan.parent / STATE).read_bytes()
    (bench.settings.plan.parent / STATE).write_bytes(state)


def test_a_hard_stop_at_one_replica_reaches_the_others(
    counting: Counting, bench: Bench, registered: Registered
) -> None:
    other = Bench(registered, replica="other")
    other.now = bench.now
    start(bench)
    look(bench)
    assert look(other).candidates[MODEL].slot.version == 2
    counting(bench).failed(5)
    look(bench)
    assert look(other).candidates == {}
