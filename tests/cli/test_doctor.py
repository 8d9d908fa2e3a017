"""`tiltyard doctor`: every fault it knows is found, with its cure, and nothing is said to be wrong that is not."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.cli.conftest import Tiltyard
from tiltyard.project.addresses import Addresses, write_addresses
from tiltyard.project.machine import judge_disk, missing_packages
from tiltyard.registry.ledger import Ledger
from tiltyard.storage.folder import FolderStore


@pytest.fixture(autouse=True)
def _no_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def whole(project: Path, tiltyard: Tiltyard) -> Path:
    """A project with everything that a training run needs."""
    rows = [f"{20 + at * 7 % 50},{'yes' if at % 3 else 'no'}" for at in range(60)]
    (project / "table.csv").write_text("\n".join(["age,churned", *rows]) + "\n", encoding="utf-8")
    (project / "tiltyard.yaml").unlink()
    assert tiltyard("init", "table.csv", "--target", "churned").code == 0
    return project


def look(tiltyard: Tiltyard, *words: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and what was found, by subject."""
    said = tiltyard("doctor", "--json", *words)
    return said.code, {found["subject"]: found for found in json.loads(said.out)}


@pytest.mark.usefixtures("whole")
def test_a_project_that_could_be_trained_is_well(tiltyard: Tiltyard) -> None:
    code, found = look(tiltyard)
    assert code == 0
    wanted = {"python", "packages", "home", "disk", "project", "contract", "table", "store", "ledger", "mlflow"}
    assert wanted | {"stack", "prefect"} <= set(found)
    assert {found[subject]["level"] for subject in wanted} <= {"ok", "warn"}
    assert found["mlflow"]["sentence"].endswith("the first run makes it.")


@pytest.mark.usefixtures("whole")
def test_people_get_a_line_a_check_and_a_conclusion(tiltyard: Tiltyard) -> None:
    said = tiltyard("doctor")
    lines = said.out.splitlines()
    assert lines[0].split()[:2] == ["ok", "python"]
    assert lines[-1].startswith(("All is well.", "Nothing is wrong."))


def test_a_folder_without_a_project_is_no_fault(tiltyard: Tiltyard, project: Path) -> None:
    (project / "tiltyard.yaml").unlink()
    code, found = look(tiltyard)
    assert code == 0
    assert found["project"]["level"] == "warn"
    assert "tiltyard init" in found["project"]["cure"]
    assert not (project / ".tiltyard").exists()


def test_a_project_named_and_not_there_is_wrong(tiltyard: Tiltyard) -> None:
    code, found = look(tiltyard, "--project", "elsewhere")
    assert code == 1
    assert found["project"]["level"] == "wrong"


def test_a_wrong_key_is_said_with_its_cure(tiltyard: Tiltyard, whole: Path) -> None:
    file = whole / "tiltyard.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "gate: {}\n", encoding="utf-8")
    code, found = look(tiltyard)
    assert code == 1
    assert "did you mean `gates`?" in found["project"]["sentence"]
    assert "store" not in found


@pytest.mark.parametrize("name", ["table.csv", "contract.yaml"])
def test_a_missing_table_or_contract_is_wrong(tiltyard: Tiltyard, whole: Path, name: str) -> None:
    (whole / name).unlink()
    code, found = look(tiltyard)
    assert code == 1
    assert name in next(entry["sentence"] for entry in found.values() if entry["level"] == "wrong")


def test_a_hash_without_its_key_is_wrong(tiltyard: Tiltyard, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TILTYARD_PROTECT_KEY", raising=False)
    file = whole / "tiltyard.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("target: churned", "target: churned, protect: {age: hash}"), encoding="utf-8")
    code, found = look(tiltyard)
    assert code == 1
    assert "TILTYARD_PROTECT_KEY" in str(found["project"])


def test_servers_that_do_not_answer_are_wrong(tiltyard: Tiltyard, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert whole
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@127.0.0.1:1")
    code, found = look(tiltyard)
    assert code == 1
    assert found["mlflow"]["level"] == "wrong"
    assert "MLFLOW_TRACKING_URI" in found["mlflow"]["cure"]
    assert "secret" not in str(found)


def test_a_changed_ledger_is_wrong(tiltyard: Tiltyard, whole: Path) -> None:
    ledger = Ledger(FolderStore(whole / ".tiltyard" / "store"), "table")
    ledger.append("registered", actor="ada", version=1, reason="the first")
    ledger.append("refused", actor="ada", version=1, reason="too small")
    entry = whole / ".tiltyard" / "store" / "ledger" / "table" / "00000001.json"
    entry.write_bytes(entry.read_bytes().replace(b"the first", b"the last!"))
    code, found = look(tiltyard)
    assert code == 1
    assert "Entry 1" in found["ledger"]["sentence"]


def test_a_killed_stack_is_noticed(tiltyard: Tiltyard, whole: Path) -> None:
    gone = Addresses(prefect="http://x/api", mlflow="http://x", server="http://x", supervisor=os.getpid(), started=1.0)
    write_addresses(whole / ".tiltyard", gone)
    code, found = look(tiltyard)
    assert code == 0
    assert found["stack"]["level"] == "warn"
    assert "tiltyard down" in found["stack"]["cure"]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A usual port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setattr("tiltyard.stack.diagnosis.USUAL", {"mlflow": port})
        yield port


def test_a_port_that_is_taken_is_named_with_its_process(tiltyard: Tiltyard, taken: int) -> None:
    _, found = look(tiltyard)
    assert f"port {taken} of MLflow is taken by process {os.getpid()}" in found["ports"]["sentence"]


@pytest.mark.parametrize(("free", "level"), [(0.4, "wrong"), (3.0, "warn"), (50.0, "ok")])
def test_little_room_is_said_before_there_is_none(free: float, level: str) -> None:
    assert judge_disk(free, Path("home")).level == level


def test_packages_of_other_systems_and_extras_are_not_missed() -> None:
    asked = [Requirement(text) for text in ("one>=1; sys_platform == 'none'", "two; extra == 'dev'", "three==3.*")]
    assert missing_packages(asked, {"three": "4"}.get) == ["three 4 is installed, and ==3.* is needed."]


def test_an_address_of_no_known_kind_is_wrong_and_stays_secret(
    tiltyard: Tiltyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILTYARD_NOTIFY", "carrier-pigeon://ada:secret@loft")
    code, found = look(tiltyard)
    assert (code, found["notification"]["level"]) == (1, "wrong")
    assert "secret" not in str(found)
