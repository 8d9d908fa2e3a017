"""A bundle is proved in a process of its own that needs no training library."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiltyard.bundle import sandbox
from tiltyard.bundle.manifest import GRAPH
from tiltyard.bundle.sandbox import FORBIDDEN, examine, verify_bundle


def test_a_good_bundle_passes_and_needs_no_training_library(built: Path) -> None:
    found = verify_bundle(built)
    assert found.passed, found.sentence
    assert found.imported == ()
    assert 0 < found.latency_ms < 100
    assert found.max_difference < 1e-9


def test_a_changed_byte_fails_with_the_reason(bundle: Path) -> None:
    content = bytearray((bundle / GRAPH).read_bytes())
    content[-1] ^= 1
    (bundle / GRAPH).write_bytes(content)
    found = verify_bundle(bundle)
    assert not found.passed
    assert "`model.onnx` is not the file the manifest speaks of" in found.sentence


def test_a_process_that_takes_too_long_is_stopped(built: Path) -> None:
    found = verify_bundle(built, timeout=0.01)
    assert (found.passed, found.sentence) == (False, "The bundle did not answer within 0.01 s.")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [("import os; os.kill(os.getpid(), 11)", "killed by signal 11"), ("raise SystemExit('gone')", 'status 1: "gone"')],
)
def test_a_process_that_dies_did_not_pass(
    code: str, sentence: str, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_START", code)
    found = verify_bundle(built)
    assert not found.passed
    assert sentence in found.sentence


def test_the_process_sees_no_secrets(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setattr(sandbox, "_START", "import os, sys; sys.exit(' '.join(os.environ))")
    assert "AWS" not in verify_bundle(built).sentence


def test_training_libraries_in_the_process_are_reported(built: Path) -> None:
    found = examine(built)
    assert (found.passed, "sklearn" in found.imported) == (False, True)


def test_loading_the_runtime_imports_nothing_heavy() -> None:
    code = (
        "import sys, json, tiltyard.bundle.runtime; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    root = str(Path(sandbox.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert not {*FORBIDDEN, "onnx", "skl2onnx", "scipy", "boto3"} & set(json.loads(done.stdout))
