"""What a project says about moves by hand is followed while a server runs."""

import os
from pathlib import Path

import pytest

from tiltyard.project.gates import GatesSection
from tiltyard.serving.policies import Policies

PROJECT = "name: {name}\ntask: {{kind: binary}}\ndata: {{source: a.csv, target: y}}\ngates: {{by_hand: {by_hand}}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "tiltyard.yaml"
    write(file, PROJECT.format(name="churn", by_hand="allow"))
    return file


def write(file: Path, content: str) -> None:
    """Write a file at a moment of its own."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(content, encoding="utf-8")
    os.utime(file, ns=(before + 10**9, before + 10**9))


def test_an_edit_is_followed_at_once(file: Path) -> None:
    policies = Policies({"churn": GatesSection()}, {"churn": file})
    assert policies.of("churn").by_hand == "allow"
    write(file, PROJECT.format(name="churn", by_hand="require_gate"))
    assert policies.of("churn").by_hand == "require_gate"


@pytest.mark.parametrize("content", ["gates: [", "", PROJECT.format(name="other", by_hand="allow"), None])
def test_a_file_that_says_nothing_changes_nothing(file: Path, content: str | None) -> None:
    strict = GatesSection(by_hand="require_gate")
    policies = Policies({"churn": strict}, {"churn": file})
    if content is None:
        file.unlink()
    else:
        write(file, content)
    assert policies.of("churn") == strict
    write(file, PROJECT.format(name="churn", by_hand="allow"))
    assert policies.of("churn").by_hand == "allow"


def test_without_a_file_the_policy_stays() -> None:
    assert Policies({"churn": GatesSection(copied="gate")}, {}).of("churn").copied == "gate"
