"""What the guide says of reading the prediction log runs as it stands there."""

import re
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.predictions.lines import CONTRACT, MODEL, SCHEMA, line
from tiltyard.predictions.record import Entry, feedback_line
from tiltyard.predictions.shipping import ship
from tiltyard.storage.folder import FolderStore

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
SECTION = GUIDE.partition("What was predicted")[2].partition("\n## ")[0]


def test_reading_the_log_as_the_guide_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now = time.time() - 5
    labels = feedback_line(MODEL, [Entry("a-0", "yes", now)], CONTRACT, now)
    Path("host-1.jsonl").write_bytes(SCHEMA + line("a", time=now) + line("b", time=now) + labels)
    assert len(list(ship(tmp_path, FolderStore(tmp_path / ".tiltyard" / "store")))) == 1
    plain = pd.read_parquet(tmp_path / ".tiltyard/store/predictions/churn")
    assert sorted(plain["id"]) == ["a-0", "b-0"]
    found: dict[str, Any] = {}
    block = re.search(r"```python\n(.*?)```", SECTION, re.DOTALL)
    assert block is not None
    exec(block[1], found)
    frame = pd.concat(found["frames"])
    assert frame.set_index("id")["label"].to_dict() == {"a-0": "yes", "b-0": None}
    assert frame["feature_age"].tolist() == [41.5, 41.5]
