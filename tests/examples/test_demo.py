"""The whole demo runs, and its story happens."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiltyard.stack.marks import marked

HOUSE = Path(__file__).parents[2]
DEMO = Path(".tiltyard") / "demo"
OTHERS = ("TILTYARD_", "MLFLOW_", "PREFECT_")

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1200)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder to run it in, whose stack is taken down."""
    yield tmp_path
    down = [sys.executable, "-m", "tiltyard", "down", "--project", str(DEMO)]
    subprocess.run(down, cwd=tmp_path, env=_environment(), check=True, capture_output=True)
    assert marked(tmp_path / DEMO / ".tiltyard") == []


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    return own | {"PYTHONPATH": str(HOUSE)}


def test_the_story_happens_and_no_request_is_lost(folder: Path) -> None:
    demo = [sys.executable, str(HOUSE / "examples" / "demo.py")]
    done = subprocess.run(demo, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = [
        "digits version 1: promote",
        "digits version 2: refuse",
        "Nothing has changed beyond what is usual.",
        "The data is no longer what the champion knows.",
        "The champion does worse than it did.",
        "Retraining is asked for.",
        "artifacts/key/digits-monitoring",
        "started by the automation `Tiltyard: retrain digits`",
        "=> a new champion answers",
        " requests, 0 lost;",
        "=> it waits for a person's decision",
        "was changed or removed.",
        "Your turn: approve version 4",
    ]
    places = [done.stdout.find(words) for words in told]
    assert -1 not in places, told[places.index(-1)]
    assert places == sorted(places)
    page = re.search(r"^(/.+/page\.html)$", done.stdout, re.MULTILINE)
    assert page is not None
    assert "The champion does worse than it did" in Path(page[1]).read_text(encoding="utf-8")
    assert "\033" not in done.stdout
