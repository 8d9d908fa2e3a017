"""What the guide says of the protocols runs as it stands there."""

import json
import re
import subprocess
import warnings
from pathlib import Path
from typing import Any

from tests.serving.servers import Server

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
SECTION = GUIDE.partition("Ask in another way")[2].partition("\n## ")[0]


def here(text: str, server: Server) -> str:
    return text.replace("localhost", "127.0.0.1").replace("8080", str(server.port))


def test_every_line_of_curl_is_answered(server: Server) -> None:
    lines = re.findall(r"^    ((?:curl|printf)(?:.*\\\n)?.*)$", SECTION, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        command = ["bash", "-c", here(line.replace("curl ", "curl --silent --show-error --fail-with-body "), server)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert {"predictions", "outputs"} & json.loads(done.stdout).keys(), line


def test_the_client_of_mlflow_runs_as_written(server: Server) -> None:
    block = re.search(r"```python\n(.*?)```", SECTION, re.DOTALL)
    assert block is not None
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing MLflow's client warns of its own type hints
        exec(here(block[1], server), found)
    assert len(found["answers"]) == 2
