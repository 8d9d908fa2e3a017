"""Counts of several processes, dead ones included, and what Prometheus and the sidecar read of them."""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from tiltyard.evaluation.evidence import LATENCY_BOUNDS
from tiltyard.predictions.log import Counts
from tiltyard.serving import counting, metrics
from tiltyard.serving.answers import About
from tiltyard.serving.counting import CELLS, Page, Series, clear, read_pages
from tiltyard.serving.exposition import exposition
from tiltyard.serving.metrics import MOST_ARMS, MOST_VALUES, OLDER, Arm, Metrics, SidecarGauges, arm_counts, fold

CHURN = About("churn", 3, "champion", rows=2, answers=[0, 1], classes=("no", "yes"))
DEMAND = About("demand", 1, "champion", rows=3, answers=[3.0, 40.0, -1e9])
ARM = Arm("churn", 3, "champion")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Metrics]:
    """A worker's counts."""
    worker = Metrics(tmp_path)
    yield worker
    worker.close()


def samples(folder: Path) -> Samples:
    """Return what Prometheus reads, as its own client reads it."""
    text = exposition(folder, {"log_backlog_bytes": ("Bytes that wait.", 7.0)}, now=100.0).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def only(found: Samples, name: str, **labels: str) -> float:
    (value,) = [value for (key, held), value in found.items() if key == name and labels.items() <= dict(held).items()]
    return value


def test_prometheus_reads_what_was_counted(tmp_path: Path, counted: Metrics) -> None:
    counted.begin()
    counted.set_loaded([ARM])
    counted.count_answer(CHURN, "tiltyard", 200, 0.0002)
    counted.count_answer(DEMAND, "mlflow", 200, 99.0)
    counted.count_answer(replace(CHURN, rows=1, answers=[1], unknown={"plan": [0]}, unexpected=2), "v2", 200, 0.003)
    counted.count(Arm("churn"), "tiltyard", 422, 0.001)
    found = samples(tmp_path)
    assert only(found, "tiltyard_requests_total", model="churn", protocol="tiltyard", code="200", version="3") == 1
    assert only(found, "tiltyard_requests_total", model="churn", code="422", version="", slot="") == 1
    assert only(found, "tiltyard_rows_total", model="churn", version="3") == 3
    assert only(found, "tiltyard_predictions_total", model="churn", **{"class": "yes"}) == 2
    assert only(found, "tiltyard_request_seconds_count", model="churn", version="3") == 2
    assert only(found, "tiltyard_request_seconds_bucket", model="demand", le=str(LATENCY_BOUNDS[-1])) == 0
    assert only(found, "tiltyard_request_seconds_bucket", model="demand", le="+Inf") == 1
    assert only(found, "tiltyard_predicted_value_bucket", model="demand", le="5") == 2
    assert only(found, "tiltyard_predicted_value_sum", model="demand") == pytest.approx(43.0 - 1e9)
    assert only(found, "tiltyard_unknown_categories_total", model="churn", column="plan") == 1
    assert only(found, "tiltyard_unexpected_columns_total", model="churn") == 2
    assert only(found, "tiltyard_version_loaded", model="churn", version="3") == 1
    assert only(found, "tiltyard_requests_in_flight") == only(found, "tiltyard_workers") == 1
    assert only(found, "tiltyard_log_backlog_bytes") == 7
    assert only(found, "tiltyard_build_info") == 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_no_fault(tmp_path: Path, counted: Metrics) -> None:
    counted.count_answer(CHURN, "tiltyard", 200, 0.0002)
    counted.count_answer(DEMAND, "mlflow", 200, 0.0002)
    text = exposition(tmp_path, {"log_backlog_bytes": ("Bytes that wait.", 7.0)}, now=0.0)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_a_dead_process_counted_stays_counted(tmp_path: Path, counted: Metrics) -> None:
    program = """if True:
        import os, sys
        from pathlib import Path
        from tiltyard.serving.answers import About
        from tiltyard.serving.metrics import Metrics
        worker = Metrics(Path(sys.argv[1]))
        worker.begin()
        worker.count_answer(About("churn", 3, "champion"), "tiltyard", 500, 0.1)
        os.kill(os.getpid(), 9)
    """
    counted.count_answer(CHURN, "tiltyard", 200, 0.0002)
    for expected in (2, 3):
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
        assert arm_counts(tmp_path)[ARM].requests == expected
        assert arm_counts(tmp_path)[ARM].errors == expected - 1
        assert arm_counts(tmp_path)[ARM].run_of_errors == 0
        assert only(samples(tmp_path), "tiltyard_requests_in_flight") == 0
        assert only(samples(tmp_path), "tiltyard_workers") == 1
    Metrics(tmp_path).close()
    assert len(list(tmp_path.glob("*.page"))) == 2
    assert arm_counts(tmp_path)[ARM].requests == 3


def test_dead_pages_that_cannot_be_removed_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: Metrics
) -> None:
    counted.count_answer(CHURN, "tiltyard", 200, 0.0002)
    counted.close()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", _refused)
        Page(tmp_path, "worker", fold).close()
        assert arm_counts(tmp_path)[ARM].requests == 1
        Page(tmp_path, "worker", fold).close()
    assert arm_counts(tmp_path)[ARM].requests == 1
    clear(tmp_path)
    assert arm_counts(tmp_path) == {}


def _refused(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_run_of_errors_ends_with_a_success(tmp_path: Path, counted: Metrics) -> None:
    for _ in range(3):
        counted.count_answer(CHURN, "tiltyard", 500, 0.0002)
    assert arm_counts(tmp_path)[ARM].run_of_errors == 3
    counted.count_answer(CHURN, "tiltyard", 422, 0.0002)
    counts = arm_counts(tmp_path)[ARM]
    assert (counts.run_of_errors, counts.errors, counts.requests, counts.timed) == (0, 3, 4, 4)


def test_a_candidate_whose_place_the_champion_took_has_failed(tmp_path: Path, counted: Metrics) -> None:
    counted.count_answer(replace(CHURN, failed=4), "tiltyard", 200, 0.0002)
    counted.count_answer(replace(CHURN, version=4, slot="candidate"), "tiltyard", 200, 0.0002)
    counted.count_answer(replace(CHURN, failed=4), "tiltyard", 200, 0.0002)
    found = arm_counts(tmp_path)
    candidate = found[Arm("churn", 4, "candidate")]
    assert (found[ARM].requests, found[ARM].errors) == (2, 0)
    assert (candidate.requests, candidate.errors, candidate.run_of_errors) == (3, 2, 1)
    assert only(samples(tmp_path), "tiltyard_candidate_failures_total") == 2


def test_many_versions_take_no_more_room(tmp_path: Path, counted: Metrics) -> None:
    counted.set_log(Counts(written=5, bytes=500, unlogged=1, refused=0))
    for version in range(1, 4 * MOST_ARMS):
        counted.count_answer(replace(CHURN, version=version), "tiltyard", 200, 0.0002)
    counted.set_log(Counts(written=6, bytes=600, unlogged=1, refused=2))
    found = samples(tmp_path)
    total = [value for (name, _), value in found.items() if name == "tiltyard_requests_total"]
    assert sum(total) == 4 * MOST_ARMS - 1
    assert len(total) <= 2 * MOST_ARMS + 1
    assert only(found, "tiltyard_requests_total", version=OLDER) >= MOST_ARMS
    assert len(list(tmp_path.glob("*.page"))) <= 2
    assert only(found, "tiltyard_log_records_total") == 6
    assert only(found, "tiltyard_log_records_missing_total") == 1
    assert only(found, "tiltyard_log_refusals_total") == 2


def test_names_of_columns_and_classes_are_bounded(tmp_path: Path, counted: Metrics) -> None:
    names = tuple(str(number) for number in range(2 * MOST_VALUES))
    counted.count_answer(About("many", 1, "champion", 200, list(range(200)), names), "tiltyard", 200, 0.0)
    for name in names:
        counted.count_answer(replace(CHURN, unknown={name: [0]}), "tiltyard", 200, 0.0)
    found = samples(tmp_path)
    assert only(found, "tiltyard_unknown_categories_total", column=metrics.OTHER) == MOST_VALUES
    assert only(found, "tiltyard_predictions_total", model="many", **{"class": metrics.OTHER}) == MOST_VALUES


def test_a_full_page_counts_what_it_has_room_for(tmp_path: Path) -> None:
    page = Page(tmp_path, "worker")
    page.cells(Series("wide"), CELLS - 1)[0] = 1
    page.cells(Series("too wide"), 2)[1] = 1
    page.cells(Series("after it"))[0] = 1
    assert [key.name for key in read_pages(tmp_path)[-1].numbers] == ["wide"]
    page.close()


def test_a_full_disk_takes_the_counts_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with caplog.at_level(logging.ERROR, logger=counting.__name__):
        worker = Metrics(tmp_path)
    worker.count_answer(CHURN, "tiltyard", 200, 0.0002)
    worker.close()
    assert "No space left" in caplog.text
    assert arm_counts(tmp_path) == {}


def test_the_sidecar_says_when_it_last_looked(tmp_path: Path) -> None:
    gauges = SidecarGauges(tmp_path)
    assert "tiltyard_sidecar_seconds_since_success" not in str(samples(tmp_path))
    gauges.looked(98.0)
    gauges.succeeded(90.0)
    found = samples(tmp_path)
    assert only(found, "tiltyard_sidecar_last_look_timestamp_seconds") == 98
    assert only(found, "tiltyard_sidecar_seconds_since_success") == 10
    gauges.close()


def test_labels_are_escaped_and_an_absent_folder_is_empty(tmp_path: Path, counted: Metrics) -> None:
    counted.count_answer(replace(CHURN, classes=('a "b"\\\n', "é")), "tiltyard", 200, 0.0)
    assert only(samples(tmp_path), "tiltyard_predictions_total", **{"class": 'a "b"\\\n'}) == 1
    assert read_pages(tmp_path / "nowhere") == []
    clear(tmp_path / "nowhere")
