"""Whatever a bundle holds, none of its code runs, little memory goes, and a sentence says why it is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.attacks import trial
from tests.attacks.corpus import ATTACKS, CANARY, Attack, endless, make, sign
from tests.serving.bundles import CONTRACT_OF_DEMAND, write_bundle
from tiltyard.bundle.manifest import GRAPH
from tiltyard.bundle.sandbox import verify_bundle

MOST_MEGABYTES = 200.0
"""What a refusal may cost. The largest attack claims two terabytes."""

FEW = ("pickle as the graph", "tensor bomb")
"""Those that go through a process each."""

Trials = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="session")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that appears when a payload runs."""
    return tmp_path_factory.mktemp("canary") / "ran"


@pytest.fixture(scope="session")
def trials(tmp_path_factory: pytest.TempPathFactory, canary: Path) -> Trials:
    """All attacks in one watched process."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, attack in ATTACKS.items():
        make(attack, folder / name.replace("/", " "))
    good = tmp_path_factory.mktemp("good") / "bundle"
    write_bundle(good, CONTRACT_OF_DEMAND, [1.0])
    root = str(Path(trial.__file__).parents[2])
    environment = {**os.environ, CANARY: str(canary), "PYTHONPATH": root}
    command = [sys.executable, "-B", trial.__file__, str(folder), str(good)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told: Trials = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_bundle_is_refused_with_the_reason(name: str, trials: Trials) -> None:
    assert ATTACKS[name].reason in trials[name]["sentence"]


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_runs_and_nothing_else_is_opened(name: str, trials: Trials, canary: Path) -> None:
    assert trials[name]["seen"] == []
    assert not canary.exists()


def test_no_refusal_costs_much_memory(trials: Trials) -> None:
    assert {name: found["grown"] for name, found in trials.items() if found["grown"] > MOST_MEGABYTES} == {}


def test_no_sentence_is_long_or_shows_where_it_was_thrown(trials: Trials) -> None:
    sentences = [found["sentence"] for found in trials.values()]
    assert max(map(len, sentences)) < 1_000
    assert not any("Traceback" in sentence or 'File "' in sentence for sentence in sentences)


@pytest.mark.parametrize(
    "name", [*FEW, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in ATTACKS if n not in FEW)]
)
def test_verification_refuses_it(name: str, tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CANARY, str(canary))
    found = verify_bundle(make(ATTACKS[name], tmp_path / "bundle"))
    assert not found.passed
    assert ATTACKS[name].reason in found.sentence
    assert not canary.exists()


@pytest.mark.exhaustive
def test_a_graph_without_end_is_given_up(tmp_path: Path) -> None:
    def swap(folder: Path) -> None:
        (folder / GRAPH).write_bytes(endless())

    bundle = make(Attack(swap, "", signed=True), tmp_path / "bundle")
    found = verify_bundle(bundle, timeout=5.0)
    assert (found.passed, found.undecided) == (False, True)
    assert "did not answer within" in found.sentence


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["contract.json", "encoder.json", "golden.json", "model.onnx", "manifest.json"])
def test_any_signed_byte_is_read_or_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, CONTRACT_OF_DEMAND, [1.0])
    content = (folder / name).read_bytes()
    for at in range(0, len(content), max(1, len(content) // 300)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytearray(content)
            changed[at] ^= bit
            (folder / name).write_bytes(changed)
            if name != "manifest.json":
                sign(folder)
            trial.attempt(folder)
