"""What the last checks found, fetched by the sidecar and read by Prometheus with everything else."""

import logging
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.monitoring.checks import check, score
from tiltyard.errors import StorageError
from tiltyard.evaluation.figures import figures_key
from tiltyard.monitoring.gauges import figures_of
from tiltyard.monitoring.history import Check
from tiltyard.serving import checks as module
from tiltyard.serving.checks import Checks, read_checks
from tiltyard.serving.exposition import exposition
from tiltyard.serving.metrics import Metrics
from tiltyard.storage.folder import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """An empty store."""
    return FolderStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a server's counts, with those of one worker."""
    Metrics(tmp_path / "metrics").close()
    return tmp_path / "metrics"


def keep(store: FolderStore, found: Check) -> None:
    store.write(figures_key(found.model), figures_of(found).model_dump_json().encode())


def exposed(folder: Path) -> dict[str, Metric]:
    """Return what Prometheus's own client reads, by name."""
    families = [*text_string_to_metric_families(exposition(folder, {}, now=100.0).decode())]
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert all(family.documentation for family in families)
    return {family.name: family for family in families}


def test_the_last_checks_of_all_models_are_exposed_together(store: FolderStore, folder: Path) -> None:
    first, second = check(performance=(score(),)), check(3, model="demand", version=None)
    for one in (first, second):
        keep(store, one)
    checks = Checks(["churn", "demand", "never-checked"], folder, lambda: store)
    checks.look()
    found = exposed(folder)
    made = {
        (one.labels["model"], one.labels["version"]): one.value
        for one in found["tiltyard_check_timestamp_seconds"].samples
    }
    assert made == {("churn", "3"): first.made.timestamp(), ("demand", ""): second.made.timestamp()}
    assert [one.value for one in found["tiltyard_check_score"].samples] == [0.81]
    assert {family.type for name, family in found.items() if name.startswith("tiltyard_check_")} == {"gauge"}
    assert "tiltyard_build_info" in found
    keep(store, check(1, version=4))
    checks.look()
    versions = {one.labels["version"] for one in exposed(folder)["tiltyard_check_rows"].samples}
    assert versions == {"4", ""}
    store.delete(figures_key("churn"))
    checks.look()
    assert {one.labels["model"] for one in exposed(folder)["tiltyard_check_rows"].samples} == {"demand"}


def test_without_a_store_the_last_figures_stay_and_it_is_said_once(
    store: FolderStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(store, check())
    checks = Checks(["churn"], folder, lambda: store)
    checks.look()
    before = read_checks(folder)

    def gone() -> FolderStore:
        raise StorageError("the store cannot be reached", cure="Wait.")

    with caplog.at_level(logging.WARNING, logger=module.__name__):
        away = Checks(["churn"], folder, gone)
        away.look()
        away.look()
        store.write(figures_key("churn"), b"no figures")
        checks.look()
    assert read_checks(folder) == before
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the last check of `churn` cannot be read"
    ] * 2


def test_models_that_are_not_served_any_more_and_damaged_files_are_left_out(store: FolderStore, folder: Path) -> None:
    keep(store, check())
    Checks(["churn"], folder, lambda: store).look()
    (file,) = folder.glob("*.check.json")
    Checks(["churn"], folder, lambda: store)
    assert file.exists()
    file.write_text("{")
    assert read_checks(folder) == ()
    Checks(["demand"], folder, lambda: store)
    assert not file.exists()
    assert read_checks(folder / "nowhere") == ()
