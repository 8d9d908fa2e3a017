"""The shadow: what it finds out, and that nobody notices whether it is there, dead or stalled."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

from tests.serving.bundles import CONTRACT_OF_CHURN, CONTRACT_OF_DEMAND, Manner, telling_graph, write_bundle
from tests.serving.loading import Load
from tests.serving.registries import Registered
from tests.serving.servers import Server, eventually, running
from tiltyard.data.contract import Contract
from tiltyard.predictions.files import OPEN, SEALED
from tiltyard.predictions.log import PredictionLog
from tiltyard.predictions.record import Batch, Record, record_line, schema_line
from tiltyard.project.rollout import RolloutSection
from tiltyard.serving import shadow as module
from tiltyard.serving import tailing
from tiltyard.serving.plan import CandidatePlan, Plan, SlotPlan, write_plan
from tiltyard.serving.settings import ShadowSettings
from tiltyard.serving.shadow import Shadow, ShadowCounts, read_state
from tiltyard.serving.tailing import Tail

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
FEATURES = ({"age": 41.0, "plan": "basic", "region": None, "visits": 3, "seen": "2026-11-20T10:00:00Z"}).values()


def planned(folder: Path, version: int, manner: Manner = "sloping") -> SlotPlan:
    """Write a regression that tells its version."""
    bundle = folder / f"demand-{version}"
    digest = write_bundle(bundle, CONTRACT_OF_DEMAND, [float(version)], graph=telling_graph(version, manner))
    return SlotPlan(version=version, bundle=str(bundle), digest=digest, since=NOW)


def classifier(folder: Path, version: int, answer: list[float]) -> SlotPlan:
    """Write a classifier of one answer."""
    digest = write_bundle(folder / str(version), CONTRACT_OF_CHURN, answer)
    return SlotPlan(version=version, bundle=str(folder / str(version)), digest=digest, since=NOW)


class Stage:
    """A plan with a rollout, and a log that somebody writes."""

    def __init__(self, folder: Path, champion: SlotPlan, candidate: SlotPlan, contract: Contract) -> None:
        self.settings = ShadowSettings(names=("demand",), plan=folder / "plan.json", log=folder / "log", parent=1)
        self.contract = contract
        self.segment = self.settings.log / f"one{OPEN}"
        self.settings.log.mkdir()
        self.segment.touch()
        self._slots = champion, candidate
        self.plan(step=0)
        self.shadow = Shadow(self.settings)

    def plan(self, *, step: int) -> None:
        """Write a plan whose rollout is at a step."""
        champion, candidate = self._slots
        rolling = CandidatePlan(slot=candidate, start=7, step=step, strategy="shadow")
        write_plan(self.settings.plan, Plan(models={"demand": champion}, candidates={"demand": rolling}))

    def log(self, *records: Record | Batch) -> None:
        """Write records, as a worker does."""
        lines = [schema_line("demand", 1, self.contract), *map(record_line, records)]
        with self.segment.open("ab", buffering=0) as file:
            file.write(b"".join(lines))

    def found(self) -> ShadowCounts:
        """Look once, and return what is written down."""
        assert self.shadow.look()
        return read_state(self.settings.plan).models["demand"]


def answered(price: float | None, version: int = 1) -> Record:
    """Return a record of a regression that tells its version."""
    value = 1000.0 * (price or 0.0) + version
    return Record("9f0", 1.0, "demand", version, "champion", [[price]], [value], 0.001)


Staging = Callable[[SlotPlan, SlotPlan, Contract], Stage]


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    """Make a stage of a test's own."""
    made: list[Stage] = []

    def make(champion: SlotPlan, candidate: SlotPlan, contract: Contract) -> Stage:
        made.append(Stage(tmp_path, champion, candidate, contract))
        return made[-1]

    yield make
    for each in made:
        each.shadow.close()


@pytest.fixture
def stage(tmp_path: Path, staging: Staging) -> Stage:
    """A rollout of version 2 over version 1."""
    return staging(planned(tmp_path, 1), planned(tmp_path, 2), CONTRACT_OF_DEMAND)


def test_differences_are_the_candidates_answers_minus_the_champions(stage: Stage) -> None:
    stage.log(answered(1.0), answered(None), answered(3.0, version=2))
    found = stage.found()
    assert (found.start, found.step, found.version) == (7, 0, 2)
    paired = found.paired
    assert (paired.count, paired.total, paired.squares, paired.largest, paired.failed) == (3, 3.0, 3.0, 1.0, 0)
    assert (paired.champion_total, found.non_finite) == (1001.0 + 1.0 + 3001.0, 0)


def test_several_rows_are_compared_as_one_after_the_other(stage: Stage) -> None:
    prices, answers = np.array([1.0, np.nan]).tobytes(), np.array([1001.0, 1.0]).tobytes()
    torn = Batch("9f1", 1.0, "demand", 1, "champion", [prices[:9]], answers, 0.001)
    stage.log(torn, Batch("9f0", 1.0, "demand", 1, "champion", [prices], answers, 0.001))
    paired = stage.found().paired
    assert (paired.count, paired.total, paired.champion_total) == (2, 2.0, 1002.0)


def test_classes_are_compared_by_the_second_ones_probability(tmp_path: Path, staging: Staging) -> None:
    slots = classifier(tmp_path, 1, [0.25, 0.75]), classifier(tmp_path, 2, [0.75, 0.25])
    stage = staging(*slots, CONTRACT_OF_CHURN)
    record = Record("9f0", 1.0, "demand", 1, "champion", [list(FEATURES)] * 2, [1, 1], 0.001)
    record.probabilities = [[0.25, 0.75]] * 2
    stage.log(record)
    found = stage.found()
    assert (found.paired.count, found.paired.total, found.disagreements) == (2, -1.0, 2)


def test_answers_that_are_no_numbers_are_counted_for_the_candidate_alone(tmp_path: Path, staging: Staging) -> None:
    stage = staging(planned(tmp_path, 1), planned(tmp_path, 2, "broken"), CONTRACT_OF_DEMAND)
    stage.log(answered(1.0), answered(None))
    found = stage.found()
    assert (found.paired.count, found.paired.failed, found.non_finite) == (1, 1, 1)


def test_a_request_that_cannot_be_compared_harms_no_other(stage: Stage) -> None:
    odd = Record("9f1", 1.0, "demand", 1, "champion", [["text"]], [1.0], 0.001)
    stage.log(answered(1.0), odd, answered(2.0))
    assert (stage.found().paired.count, stage.found().paired.failed) == (2, 1)


def test_versions_with_other_classes_have_nothing_to_compare(tmp_path: Path, staging: Staging) -> None:
    stage = staging(planned(tmp_path, 1), classifier(tmp_path, 2, [0.5, 0.5]), CONTRACT_OF_DEMAND)
    stage.log(answered(1.0))
    assert (stage.found().paired.count, stage.found().paired.failed) == (0, 1)


def test_what_was_found_outlives_the_process_and_ends_with_the_step(stage: Stage) -> None:
    stage.log(answered(1.0))
    assert stage.found().paired.count == 1
    stage.shadow.close()
    stage.shadow = Shadow(stage.settings)
    stage.log(answered(2.0))
    assert stage.found().paired.count == 2
    stage.plan(step=1)
    stage.log(answered(3.0))
    assert (stage.found().step, stage.found().paired.count) == (1, 1)


def test_a_candidate_that_cannot_be_loaded_is_told(tmp_path: Path, staging: Staging) -> None:
    candidate = planned(tmp_path, 2)
    Path(candidate.bundle, "model.onnx").write_bytes(b"")
    stage = staging(planned(tmp_path, 1), candidate, CONTRACT_OF_DEMAND)
    stage.log(answered(1.0))
    assert "model.onnx" in stage.found().failed_load


def test_what_there_is_no_time_for_is_skipped_and_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 10)
    stage.log(*map(answered, [1.0] * 25))
    found = stage.found()
    assert (found.paired.count, found.skipped) == (10, 15)


def test_without_a_rollout_there_is_nothing_to_do(stage: Stage) -> None:
    write_plan(stage.settings.plan, Plan())
    assert not stage.shadow.look()


def test_a_tail_reads_whole_lines_and_goes_on_when_a_segment_is_sealed(tmp_path: Path) -> None:
    first = tmp_path / f"one{OPEN}"
    first.write_bytes(b"old\n")
    tail = Tail(tmp_path)
    with first.open("ab", buffering=0) as file:
        file.write(b"a\nb")
        assert tail.read() == ([b"a"], 0)
        file.write(b"c\nd\n")
        sealed = first.rename(tmp_path / f"one{SEALED}")
        (tmp_path / f"two{OPEN}").write_bytes(b"e\n")
        assert tail.read() == ([b"bc", b"d", b"e"], 0)
    sealed.unlink()
    assert tail.read() == ([], 0)
    tail.close()


def test_a_tail_of_one_server_leaves_those_of_others_to_them(tmp_path: Path) -> None:
    logs = {writer: PredictionLog(tmp_path, writer=writer) for writer in ("port-8080", "port-80", "")}
    tails = {writer: Tail(tmp_path, writer) for writer in logs}
    for writer, log in logs.items():
        log.append(f"{writer}\n".encode(), None, b"")
    assert tails["port-8080"].read() == ([b"port-8080"], 0)
    assert tails["port-80"].read() == ([b"port-80"], 0)
    assert sorted(tails[""].read().lines) == [b"", b"port-80", b"port-8080"]
    for writer, log in logs.items():
        tails[writer].close()
        log.close()


def test_a_line_that_is_taken_back_for_want_of_room_is_no_line(tmp_path: Path) -> None:
    segment = tmp_path / f"one{OPEN}"
    segment.touch()
    tail = Tail(tmp_path)
    with segment.open("ab", buffering=0) as file:
        file.write(b"a\nhalf of a li")
        assert tail.read() == ([b"a"], 0)
        file.truncate(2)
        assert tail.read() == ([], 0)
        file.write(b"b\n")
        assert tail.read() == ([b"b"], 0)
    tail.close()


def test_a_tail_that_falls_behind_skips_to_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "MOST_BYTES", 100)
    tail = Tail(tmp_path)
    lines = [b"%04d" % number for number in range(1_000)]
    (tmp_path / f"one{OPEN}").write_bytes(b"".join(line + b"\n" for line in lines))
    found, skipped = tail.read()
    assert found == lines[-len(found) :]
    assert len(found) + skipped in {len(lines), len(lines) - 1}
    tail.close()


def compared(server: Server) -> int:
    """Return how many rows the shadow of a server has compared."""
    counts = read_state(server.plan).models.get("demand")
    return counts.paired.count if counts else 0


@pytest.mark.exhaustive
def test_a_killed_and_a_stalled_shadow_change_no_answer(tmp_path: Path, registered: Registered) -> None:
    registered.promote(registered.add(manner="sloping"))
    registered.add(manner="sloping")
    with running(tmp_path, workers=2) as server:
        eventually(server.ready)
        eventually(lambda: registered.ledger.champion() == 1)
        assert server.children("shadow") == []
        load = Load(server, clients=4, pause=0.02)
        registered.roll_out(2, RolloutSection(strategy="shadow", min_requests=(1_000_000,)))
        eventually(lambda: compared(server) > 50)
        first = server.children("shadow")[0]
        os.kill(first, signal.SIGKILL)
        before = compared(server)
        eventually(lambda: set(server.children("shadow")) - {first} and compared(server) > before + 50)
        second = server.children("shadow")[0]
        os.kill(second, signal.SIGSTOP)
        answers = load.tally.answers
        eventually(lambda: load.tally.answers > answers + 200)
        assert server.ready()
        tally = load.stop()
        assert server.stop() == 0
    assert (tally.lost, tally.mixed, set(tally.versions)) == ([], 0, {1})


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
def test_what_a_shadow_adds_to_the_slowest_answers(tmp_path: Path, registered: Registered) -> None:
    registered.promote(registered.add(manner="sloping"))
    registered.add(manner="sloping")
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with running(tmp_path) as server:
        eventually(server.ready)
        eventually(lambda: registered.ledger.champion() == 1)
        registered.roll_out(2, RolloutSection(strategy="shadow", min_requests=(100_000_000,)))
        eventually(lambda: server.children("shadow"))
        shadow = server.children("shadow")[0]
        for window in range(24):
            is_running = window % 2 == 0
            os.kill(shadow, signal.SIGCONT if is_running else signal.SIGSTOP)
            seconds[is_running] += taken(server, requests=1_000)
        os.kill(shadow, signal.SIGCONT)
        eventually(lambda: compared(server) > 1_000)
    with_shadow, without = ([float(np.percentile(seconds[key], at)) for at in (50, 99)] for key in (True, False))
    ratios = [f"{a / b - 1:+.1%}" for a, b in zip(with_shadow, without, strict=True)]
    print(f"p50 and p99 with a shadow {with_shadow} s, stalled {without} s: {ratios}")  # noqa: T201  # -s shows it


def taken(server: Server, *, requests: int) -> list[float]:
    """Return how long answers took, one after the other on one connection, in seconds."""
    found = []
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        for _ in range(requests):
            began = time.perf_counter()
            connection.request("POST", "/v1/models/demand/predict", b'{"rows": [{"price": 1.0}]}')
            assert connection.getresponse().read()
            found.append(time.perf_counter() - began)
    return found
