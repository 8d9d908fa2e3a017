"""`tiltyard status` without a stack: what the ledger knows, and how it is shown."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Tiltyard
from tiltyard.cli.opening import find_ledger
from tiltyard.cli.standing import ProjectStanding, Reign, RunLine, Standing
from tiltyard.cli.standing_view import show
from tiltyard.project.addresses import Addresses
from tiltyard.registry.approvals import ask
from tiltyard.stack.health import Health

MONDAY = datetime(2026, 11, 16, 3, tzinfo=UTC)


def line(state: str, message: str) -> RunLine:
    """Return a run."""
    return RunLine(name="churn: new data", flow="train", state=state, time=MONDAY, message=message, url="http://p")


def test_champion_and_verdicts_come_from_the_ledger(tiltyard: Tiltyard, project: Path) -> None:
    ledger = find_ledger(project)
    for version, verdict in ((1, "promote"), (2, "refuse")):
        ledger.append("registered", actor="ada", version=version)
        ledger.append("judged", actor="ada", version=version, reason=f"{verdict}!", evidence={"verdict": verdict})
    ledger.append("set_by_hand", actor="grace", version=1, reason="by hand in MLflow")
    churn = json.loads(tiltyard("status", "--json").out)["projects"][0]
    assert {key: churn["champion"][key] for key in ("version", "by", "reason")} == {
        "version": 1,
        "by": "grace",
        "reason": "by hand in MLflow",
    }
    assert [(one["version"], one["verdict"]) for one in churn["verdicts"]] == [(2, "refuse"), (1, "promote")]
    said = tiltyard("status").out
    assert "version 1 since" in said
    assert "by grace: by hand in MLflow" in said


def test_a_champion_that_was_taken_away_is_missed(tiltyard: Tiltyard, project: Path) -> None:
    ledger = find_ledger(project)
    ledger.append("promoted", actor="ada", version=1)
    ledger.append("set_by_hand", actor="by hand", version=None, replaces=1, reason="the alias was taken away in MLflow")
    said = " ".join(tiltyard("status").out.split())
    assert "none: the alias was taken away in MLflow" in said
    assert "`tiltyard rollback`" in said


def test_nothing_is_said_of_what_was_deleted_with_the_model(tiltyard: Tiltyard, project: Path) -> None:
    ledger = find_ledger(project)
    ledger.append("judged", actor="ada", version=1, reason="promote!", evidence={"verdict": "promote"})
    ask(ledger, 1, replaces=None, actor="ada", question="why?", verdict="better", hours=72, evidence={})
    ledger.append("deleted", actor="by hand", version=None, reason="the registered model was deleted in MLflow")
    churn = json.loads(tiltyard("status", "--json").out)["projects"][0]
    assert (churn["verdicts"], churn["approvals"]) == ([], [])
    assert "`tiltyard train` makes the first of a new model" in churn["vacant"]


def test_a_lost_supervisor_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    show(Standing(home="/yard", stack=None, parts=(), left=6, projects=()))
    assert "6 of its processes are not" in " ".join(capsys.readouterr().out.split())


def test_what_a_stack_tells_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    stack = Addresses(prefect="http://p/api", mlflow="http://m", server="http://s", supervisor=1, started=0.0)
    parts = (
        Health("server", "model server", "up", "http://s", 7, ""),
        Health("worker", "worker", "down", "", 0, "gone"),
    )
    churn = ProjectStanding(
        name="churn",
        file="churn.yaml",
        champion=Reign(version=3, since=MONDAY, by="ada", reason="won"),
        served={"version": 2, "refused": {"version": 3, "reason": "does not verify"}},
        last=(line("Completed", "All states completed."), line("Failed", "the table is gone")),
        next=(line("Scheduled", "Flow run scheduled"),),
        trouble=("Prefect does not answer.",),
    )
    show(Standing(home="/yard", stack=stack, parts=parts, projects=(churn,)))
    said = capsys.readouterr().out
    assert "worker        down" in said
    assert "version 2, and the ledger's champion is version 3; version 3 is refused: does not verify" in said
    assert "the table is gone" in said
    assert "All states completed" not in said
    assert "train 2026-11-16 03:00 (scheduled)" in said
    assert "Prefect does not answer." in said


def test_one_broken_project_is_a_mistake(tiltyard: Tiltyard, project: Path) -> None:
    (project / "tiltyard.yaml").write_text("name: [", encoding="utf-8")
    assert tiltyard("status").code == 2
