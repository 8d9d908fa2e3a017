"""Deployments on a real Prefect server: what `tiltyard deploy` makes, and that `prefect.yaml` says the same."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectHTTPStatusError

from flows.automations import automations
from flows.deployments import behind, deploy, remove
from flows.plan import RUN_SETTINGS
from tests.flows.conftest import WriteProject
from tiltyard.cli.app import main
from tiltyard.errors import OrchestrationError, UsageError
from tiltyard.project.environment import Workplace

ROOT = Path(__file__).parents[2]
WEEKLY = {"cron": "0 3 * * 1", "timezone": "Europe/Berlin"}


@pytest.fixture
def client(on_prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    """A client of the server, which is empty of deployments before and after."""
    monkeypatch.setenv("PREFECT_API_URL", on_prefect_server)
    with get_client(sync_client=True) as client:
        yield client
        for found in client.read_deployments():
            client.delete_deployment(found.id)
        for automation in client.read_automations():
            client.delete_automation(automation.id)


def moved(file: Path, folder: Path, **changes: object) -> Path:
    """Copy a project into another folder, with other keys."""
    folder.mkdir()
    content = yaml.safe_load(file.read_text(encoding="utf-8")) | changes
    (folder / "tiltyard.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "tiltyard.yaml"


def test_flows_of_a_project_are_deployed_as_its_file_says(
    client: SyncPrefectClient, write_project: WriteProject
) -> None:
    file = write_project("tree", schedule=WEEKLY, purpose="Who leaves?")
    made = deploy([file])
    assert [(each.name, each.change, each.schedule) for each in made] == [
        ("train/churn", "created", "0 3 * * 1 (Europe/Berlin)"),
        ("score/churn", "created", None),
        ("rollout/churn", "created", None),
        ("monitor/churn", "created", None),
    ]
    found = client.read_deployment_by_name("train/churn")
    assert found.parameters == {"project": str(file)}
    assert found.tags == ["tiltyard", "churn"]
    assert found.description is not None
    assert "Who leaves?" in found.description
    assert found.global_concurrency_limit is not None
    assert found.global_concurrency_limit.limit == 1
    assert found.concurrency_options is not None
    assert found.concurrency_options.collision_strategy == ConcurrencyLimitStrategy.CANCEL_NEW


def test_deploying_twice_changes_nothing(client: SyncPrefectClient, write_project: WriteProject) -> None:
    file = write_project("tree", schedule=WEEKLY)
    deploy([file])
    before = (client.read_deployments(), client.read_automations())
    assert behind(file) == ()
    assert {each.change for each in deploy([file])} == {"unchanged"}
    assert (client.read_deployments(), client.read_automations()) == before
    assert len(before[1]) == len(automations()) + 1  # the one that retrains


def test_a_changed_file_changes_the_deployment(client: SyncPrefectClient, write_project: WriteProject) -> None:
    deploy([write_project("tree", schedule=WEEKLY)])
    file = write_project("tree", schedule={"cron": "30 4 * * *", "when_busy": "queue"})
    assert behind(file) == ("train/churn",)
    assert [each.change for each in deploy([file])] == ["updated", "unchanged", "unchanged", "unchanged"]
    found = client.read_deployment_by_name("train/churn")
    assert [(each.schedule.model_dump()["cron"], each.active) for each in found.schedules] == [("30 4 * * *", True)]
    assert found.concurrency_options is not None
    assert found.concurrency_options.collision_strategy == ConcurrencyLimitStrategy.ENQUEUE
    deploy([write_project("tree")])
    assert client.read_deployment_by_name("train/churn").schedules == []


def test_a_schedule_that_somebody_paused_stays_paused(client: SyncPrefectClient, write_project: WriteProject) -> None:
    deploy([write_project("tree", schedule=WEEKLY)])
    found = client.read_deployment_by_name("train/churn")
    path = {"id": found.id, "schedule_id": found.schedules[0].id}
    off = {"active": False}  # no more, as the UI does
    client.request("PATCH", "/deployments/{id}/schedules/{schedule_id}", path_params=path, json=off)
    for cron in (WEEKLY["cron"], "30 4 * * *"):
        deploy([write_project("tree", schedule={"cron": cron})])
        assert [each.active for each in client.read_deployment_by_name("train/churn").schedules] == [False]


def test_the_scheduler_makes_runs(client: SyncPrefectClient, write_project: WriteProject) -> None:
    deploy([write_project("tree", schedule=WEEKLY)])
    identity = client.read_deployment_by_name("train/churn").id
    client.request("POST", "/deployments/{id}/schedule", path_params={"id": identity}, json={"min_runs": 2})
    runs = client.get_scheduled_flow_runs_for_deployments([identity])
    assert len(runs) >= 1
    assert {run.parameters["reason"] for run in runs} == {"scheduled"}


def test_the_form_is_typed_and_enforced(client: SyncPrefectClient, write_project: WriteProject) -> None:
    file = write_project("tree")
    deploy([file])
    found = client.read_deployment_by_name("train/churn")
    schema = found.parameter_openapi_schema
    assert schema is not None
    fields: dict[str, dict[str, Any]] = schema["properties"]
    assert {name: field.get("type") for name, field in fields.items() if name != "as_of"} == {
        "project": "string",
        "reason": "string",
        "seconds": "number",
        "trials": "integer",
        "mode": "string",
        "dry_run": "boolean",
        "promote": "boolean",
    }
    assert fields["project"]["enum"] == [str(file)]
    assert [kind["format"] for kind in fields["as_of"]["anyOf"]] == ["date", "date-time"]
    assert all(field["description"] for field in fields.values())
    with pytest.raises(PrefectHTTPStatusError, match="409"):
        client.create_flow_run_from_deployment(found.id, parameters={"trials": "many"})


def test_projects_that_are_no_more_lose_their_deployments(
    client: SyncPrefectClient, write_project: WriteProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILTYARD_HOME", str(tmp_path / "home"))
    file = write_project("tree")
    other = moved(file, tmp_path / "other", name="fraud")
    deploy([file, other])
    assert {found.name for found in client.read_deployments()} == {"churn", "fraud"}
    assert not any(each.change == "removed" for each in deploy([file], alone=False))
    other.unlink()
    gone = {each.name for each in deploy([file], alone=False) if each.change == "removed"}
    assert gone == {"train/fraud", "score/fraud", "rollout/fraud", "monitor/fraud"}


def test_only_the_given_projects_of_a_home_stay(
    client: SyncPrefectClient, write_project: WriteProject, tmp_path: Path
) -> None:
    file = write_project("tree")
    elsewhere = moved(file, tmp_path / "elsewhere", name="fraud")
    deploy([elsewhere])
    deploy([file])
    renamed = moved(file, tmp_path / "renamed", name="leavers")
    renamed.replace(file)
    removed = {each.name for each in deploy([file]) if each.change == "removed"}
    assert removed == {"train/churn", "score/churn", "rollout/churn", "monitor/churn"}
    assert {found.name for found in client.read_deployments()} == {"leavers", "fraud"}


def test_removing_by_name(client: SyncPrefectClient, write_project: WriteProject) -> None:
    file = write_project("tree")
    deploy([file])
    with pytest.raises(UsageError, match="Did you mean `churn`"):
        remove("chorn", Workplace(file))
    assert {each.change for each in remove("churn", Workplace(file))} == {"removed"}
    assert client.read_deployments() == []


@pytest.mark.usefixtures("client")
def test_two_projects_of_one_name_are_refused(write_project: WriteProject, tmp_path: Path) -> None:
    file = write_project("tree")
    with pytest.raises(UsageError, match="`churn` is that of"):
        deploy([file, moved(file, tmp_path / "twin")])


def test_a_server_that_does_not_answer_is_named(write_project: WriteProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(OrchestrationError, match=r"127\.0\.0\.1:9"):
        deploy([write_project("tree")])


@pytest.mark.usefixtures("client")
def test_the_command(write_project: WriteProject, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(write_project("tree", schedule=WEEKLY).parent)
    assert main(["deploy", "--project", folder, "--json"]) == 0
    assert [each["change"] for each in json.loads(capsys.readouterr().out)] == ["created"] * 4
    assert main(["deploy", "--project", folder]) == 0
    assert "train/churn: unchanged; starts by itself at 0 3 * * 1 (Europe/Berlin)" in capsys.readouterr().out
    assert main(["resume", "--project", folder]) == UsageError.exit_code
    assert "There is nothing to resume" in capsys.readouterr().err
    assert main(["deploy", "--project", folder, "--remove", "churn"]) == 0
    assert "train/churn: removed" in capsys.readouterr().out


def facts(found: DeploymentResponse) -> dict[str, Any]:
    """Return what `prefect.yaml` and `tiltyard deploy` must agree on."""
    schema = found.parameter_openapi_schema or {}
    limit, busy = found.global_concurrency_limit, found.concurrency_options
    return {
        "entrypoint": found.entrypoint,
        "description": found.description,
        "tags": found.tags,
        "parameters": found.parameters,
        "enforced": found.enforce_parameter_schema,
        "pool": found.work_pool_name,
        "settings": {name: found.job_variables["env"][name] for name in RUN_SETTINGS},
        "schedules": [each.model_dump()["schedule"] | {"with": each.parameters} for each in found.schedules],
        "limit": limit and limit.limit,
        "busy": busy and busy.collision_strategy,
        "fields": {name: field["position"] for name, field in schema["properties"].items()},
    }


def test_prefect_yaml_says_the_same(
    client: SyncPrefectClient, write_project: WriteProject, on_prefect_server: str, tmp_path: Path
) -> None:
    file = write_project("tree", schedule=WEEKLY, monitoring={"cron": "0 6 * * *"})
    deploy([file])
    names = ("train/churn", "score/churn", "rollout/churn", "monitor/churn")
    ours = [facts(client.read_deployment_by_name(name)) for name in names]
    remove("churn", Workplace(file))
    environment = os.environ | {"PREFECT_API_URL": on_prefect_server, "PREFECT_HOME": str(tmp_path / "prefect")}
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment | {"DO_NOT_TRACK": "true", "TILTYARD_PROJECT": str(file)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    theirs = [client.read_deployment_by_name(name) for name in names]
    assert [facts(found) for found in theirs] == ours
    assert [found.pull_steps for found in theirs] == [[]] * 4
