"""`prefect.yaml` is accepted by a real Prefect server."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def prefect(*words: str, api: str, home: Path) -> str:
    environment = os.environ | {"PREFECT_API_URL": api, "PREFECT_HOME": str(home), "DO_NOT_TRACK": "true"}
    command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_both_flows_are_deployed(on_prefect_server: str, tmp_path: Path) -> None:
    prefect("work-pool", "create", "tiltyard", "--type", "process", api=on_prefect_server, home=tmp_path)
    prefect("deploy", "--all", api=on_prefect_server, home=tmp_path)
    deployed = prefect("deployment", "ls", api=on_prefect_server, home=tmp_path)
    assert "train/train" in deployed
    assert "score/score" in deployed
