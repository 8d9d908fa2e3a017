"""What a person does in the two UIs, done in a real browser on the full stack.

The tests build on one another as people do, so that each training run is made once: the fixtures hold what was made.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.browser.conftest import Stack, tiltyard
from tests.browser.load import Load
from tests.browser.pages import Mlflow, Prefect, browsing
from tests.flows.conftest import table
from tests.flows.yard import until
from tiltyard.monitoring.history import History
from tiltyard.monitoring.summary import summarise
from tiltyard.predictions.reading import Window, count_predictions
from tiltyard.storage.folder import FolderStore

pytestmark = pytest.mark.exhaustive

NEAR = 5.0
ROW = {"usage": 0.5, "age": -0.5, "debt": 0.25, "visits": 1.0, "plan": "pro"}


@pytest.fixture(scope="session")
def started(browser: str, stack: Stack) -> dict[str, str]:
    """Start a training run of each project from Prefect's form; the runs by project."""
    runs = {}
    with browsing(browser) as page:
        form = Prefect(page, stack.prefect)
        for project in ("churn", "churn-dev"):
            form.open_form(stack.deployed(f"train/{project}")["id"])
            form.write("Reason", f"asked for in the form of {project}")
            form.give_number("Trials", 3)
            runs[project] = form.submit()
    return runs


@pytest.fixture(scope="session")
def champion(started: dict[str, str], stack: Stack) -> str:
    """The first champion of `churn`; its run."""
    stack.wait_for_state(started["churn"], "Completed")
    return started["churn"]


def test_a_training_from_the_form_with_a_changed_parameter_promotes(
    champion: str, prefect: Prefect, stack: Stack
) -> None:
    promoted = stack.ledger("churn")[-1]
    assert (promoted["kind"], promoted["version"]) == ("promoted", 1)
    prefect.open_run(champion)
    main = prefect.page.get_by_role("main")
    main.get_by_text("Completed").first.wait_for()
    main.get_by_role("tab", name="Parameters").click()
    main.get_by_text("asked for in the form of churn").first.wait_for()
    with Load(stack.addresses.server, "churn", ROW) as load:
        load.wait_for(1, seconds=NEAR)
    assert load.lost == []


@pytest.mark.usefixtures("champion")
def test_a_check_is_started_at_prefect_and_seen_in_both_uis_and_by_prometheus(prefect: Prefect, stack: Stack) -> None:
    store = FolderStore(stack.home / "store")
    _ask(stack, 1_200)
    run = stack.start("monitor/churn", window="1h", reason="asked for at Prefect")
    stack.wait_for_state(run, "Completed")
    check = History(store, "churn").latest()
    assert check is not None
    assert check.rows >= 1_200
    said = summarise(check).headline
    prefect.open_artifact(stack.artifact(run, "churn-monitoring")["id"])
    prefect.page.get_by_role("heading", name=said).wait_for()
    viewer = prefect.follow("The page about the check")
    page = viewer.frame_locator("iframe")
    page.get_by_role("heading", name=said).wait_for()
    page.get_by_text("evidently.html, beside this page").wait_for()
    assert page.get_by_role("link").count() == 0
    viewer.get_by_text("evidently.html", exact=True).first.click()
    page.get_by_text("Verdict of Tiltyard").wait_for()
    until(lambda: f" {check.rows}\n" in _exposed(stack, "tiltyard_check_rows"), "the check at /metrics", seconds=60)


def _ask(stack: Stack, rows: int) -> None:
    """Ask the model server for rows that training has not seen the like of, and wait until they are in the store."""
    frame = table(rows, seed=5).drop(columns="left")
    frame["usage"] += 1.5
    for start in range(0, rows, 100):
        asked = {"rows": frame[start : start + 100].to_dict("records")}
        httpx.post(f"{stack.addresses.server}/v1/models/churn/predict", json=asked, timeout=30).raise_for_status()
    store, now = FolderStore(stack.home / "store"), datetime.now(UTC)
    window = Window(now - timedelta(hours=1), now)
    until(lambda: count_predictions(store, "churn", window) >= rows, "the rows in the store", seconds=60)


def _exposed(stack: Stack, name: str) -> str:
    """Return the lines of a metric."""
    text = httpx.get(f"{stack.addresses.server}/metrics", timeout=30).raise_for_status().text
    return "".join(f"{line}\n" for line in text.splitlines() if line.startswith(name))


@pytest.fixture(scope="session")
def approved(browser: str, started: dict[str, str], stack: Stack) -> dict[str, object]:
    """What the ledger of `churn-dev` says after a person has approved its version in Prefect's UI."""
    run = started["churn-dev"]
    stack.wait_for_state(run, "Suspended")
    assert [entry["kind"] for entry in stack.ledger("churn-dev")][-1] == "approval_wanted"
    with browsing(browser) as page:
        prefect = Prefect(page, stack.prefect)
        dialog = prefect.open_decision(run)
        prefect.choose(dialog, "Decision", "approve")
        dialog.get_by_role("textbox", name="Reason").fill("seen on the slices")
        dialog.get_by_role("textbox", name="Who decides").fill("grace")
        prefect.decide(dialog)
    stack.wait_for_state(run, "Completed")
    return {entry["kind"]: entry for entry in stack.ledger("churn-dev")}


def test_an_approval_is_given_in_prefect(approved: dict[str, dict[str, object]]) -> None:
    assert (approved["approved"]["actor"], approved["approved"]["reason"]) == ("grace", "seen on the slices")
    assert approved["promoted"]["version"] == 1


@pytest.fixture
def load(champion: str, stack: Stack) -> Iterator[Load]:
    """A steady load on `churn` during the whole test."""
    assert champion
    with Load(stack.addresses.server, "churn", ROW) as running:
        running.wait_for(1, seconds=NEAR)
        yield running
    assert running.lost == []
    assert {version: len(answers) for version, answers in running.answers.items()} == {1: 1, 2: 1}


@pytest.mark.usefixtures("approved")
def test_a_version_copied_by_promote_model_is_served_when_it_gets_the_alias(
    load: Load, mlflow: Mlflow, stack: Stack
) -> None:
    copy = mlflow.promote(mlflow.open_promotion("churn-dev", 1, "churn"), "churn")
    assert copy == 2
    _move_champion(mlflow, copy)
    load.wait_for(copy, seconds=NEAR)
    _move_champion(mlflow, 1)
    load.wait_for(1, seconds=NEAR)
    until(lambda: len(_moves(stack)) > 1, "the second move in the ledger", seconds=60)
    assert _moves(stack) == [(2, 1), (1, 2)]
    assert "copied" in {entry["kind"] for entry in stack.ledger("churn")}


def _moves(stack: Stack) -> list[tuple[int, int]]:
    """Return who replaced whom by hand."""
    return [(entry["version"], entry["replaces"]) for entry in stack.ledger("churn") if entry["kind"] == "set_by_hand"]


def _move_champion(mlflow: Mlflow, version: int) -> None:
    """Give a version the alias in MLflow's UI, which warns that another one loses it."""
    dialog = mlflow.open_aliases("churn", version)
    mlflow.add_alias(dialog, "champion")
    assert "is also being used" in dialog.get_by_role("alert").inner_text()
    mlflow.save_aliases(dialog)


def test_the_doctor_finds_every_part_of_the_stack_well(stack: Stack) -> None:
    project = Path(stack.deployed("train/churn-dev")["parameters"]["project"])
    found = json.loads(tiltyard(stack.environment, "doctor", "--json", "--project", str(project)))
    assert [each for each in found if each["level"] == "wrong"] == []
    well = {each["subject"] for each in found if each["level"] == "ok"}
    assert {"mlflow", "prefect", "work pool", "worker", "webhook", "deployments", "store", "ledger"} <= well
    assert {f"stack: {part}" for part in ("prefect", "mlflow", "worker", "server")} <= well
