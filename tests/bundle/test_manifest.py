"""A damaged or hostile bundle is refused, and the file is named."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tiltyard.bundle.manifest import GOLDEN, GRAPH, LARGEST_FILE, MANIFEST, Manifest, read_bundle, read_manifest
from tiltyard.bundle.runtime import Runtime
from tiltyard.errors import BundleError

Attack = Callable[[Path], object]


def swap_a_byte(name: str) -> Attack:
    def attack(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return attack


def change_manifest(**changes: object) -> Attack:
    def attack(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps(manifest | changes))

    return attack


def list_file(name: str) -> Attack:
    def attack(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["files"][name] = "0" * 64
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return attack


def link(folder: Path) -> None:
    (folder / GRAPH).rename(folder.parent / "elsewhere.onnx")
    (folder / GRAPH).symlink_to(folder.parent / "elsewhere.onnx")


def pipe(folder: Path) -> None:
    (folder / GRAPH).unlink()
    os.mkfifo(folder / GRAPH)


def grow(folder: Path) -> None:
    os.truncate(folder / MANIFEST, LARGEST_FILE[MANIFEST] + 1)


def subfolder(folder: Path) -> None:
    (folder / GOLDEN).unlink()
    (folder / GOLDEN).mkdir()


ATTACKS: dict[str, tuple[Attack, str]] = {
    "graph changed": (swap_a_byte(GRAPH), "`model.onnx` is not the file the manifest speaks of"),
    "golden changed": (swap_a_byte(GOLDEN), "`golden.json` is not the file the manifest speaks of"),
    "contract missing": (lambda folder: (folder / "contract.json").unlink(), "`contract.json` is missing"),
    "manifest missing": (lambda folder: (folder / MANIFEST).unlink(), "`manifest.json` is missing"),
    "extra file": (lambda folder: (folder / "model.pkl").touch(), "holds `model.pkl`"),
    "hidden file": (lambda folder: (folder / ".onnx_data").touch(), "holds `.onnx_data`"),
    "symbolic link": (link, "`model.onnx` is a link"),
    "named pipe": (pipe, "`model.onnx` is not a regular file"),
    "folder for a file": (subfolder, "`golden.json` is not a regular file"),
    "oversized": (grow, "at most 1,048,576 are read"),
    "path above": (list_file("../secret"), "`../secret` is not a file of a bundle"),
    "absolute path": (list_file("/etc/passwd"), "`/etc/passwd` is not a file of a bundle"),
    "unknown key": (change_manifest(loader="os:system"), "not a valid manifest at `loader`"),
    "other layout": (change_manifest(layout=2), "not a valid manifest at `layout`"),
    "three classes of two": (change_manifest(classes=["a", "b", "c"]), "cannot have 3 classes"),
    "not JSON": (lambda folder: (folder / MANIFEST).write_bytes(b"\x80\x04pickle"), "not a valid manifest"),
}


@pytest.mark.parametrize(("attack", "reason"), ATTACKS.values(), ids=ATTACKS)
def test_a_hostile_bundle_is_refused(attack: Attack, reason: str, bundle: Path) -> None:
    attack(bundle)
    with pytest.raises(BundleError) as refusal:
        Runtime.load(bundle)
    assert reason in str(refusal.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read as a bundle"):
        read_bundle(tmp_path / "nothing")


def test_a_manifest_survives_a_round_trip(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
    assert manifest.size_bytes == sum(len(content) for content in read_bundle(bundle).contents.values())


def test_the_digest_is_of_what_decides_about_answers(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    later = manifest.model_copy(update={"created": manifest.created.replace(year=2001), "latency_ms": 9.0})
    assert later.digest == manifest.digest
    assert manifest.model_copy(update={"threshold": 0.9}).digest != manifest.digest
