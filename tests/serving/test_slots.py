"""Slots: loaded beside, swapped as a whole, and kept when the next version cannot be loaded."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.serving.bundles import CONTRACT_OF_DEMAND, write_bundle
from tiltyard.bundle.runtime import Runtime
from tiltyard.errors import BundleError
from tiltyard.serving.loading import next_slots
from tiltyard.serving.plan import Plan, SlotPlan
from tiltyard.serving.slots import load_slot

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
NAMES = ("demand",)


def planned(folder: Path, version: int, *, wrong_golden: bool = False) -> SlotPlan:
    bundle = folder / str(version)
    expected = [version + 1.0] if wrong_golden else None
    digest = write_bundle(bundle, CONTRACT_OF_DEMAND, [float(version)], expected=expected)
    return SlotPlan(version=version, bundle=str(bundle), digest=digest, since=NOW)


def test_a_new_version_is_put_in_place_of_the_old(tmp_path: Path) -> None:
    first, _ = next_slots({}, Plan(models={"demand": planned(tmp_path, 1)}), NAMES)
    second, problems = next_slots(first, Plan(models={"demand": planned(tmp_path, 2)}), NAMES)
    assert (first["demand"].version, second["demand"].version, problems) == (1, 2, {})


def test_a_version_that_stays_is_not_loaded_again(tmp_path: Path) -> None:
    plan = Plan(models={"demand": planned(tmp_path, 1)})
    first, _ = next_slots({}, plan, NAMES)
    shutil.rmtree(tmp_path / "1")
    assert next_slots(first, plan, NAMES)[0]["demand"] is first["demand"]


def test_models_of_other_servers_are_left_alone(tmp_path: Path) -> None:
    assert next_slots({}, Plan(models={"other": planned(tmp_path, 1)}), NAMES)[0] == {}


def test_a_model_that_leaves_the_plan_goes_on_answering(tmp_path: Path) -> None:
    first, _ = next_slots({}, Plan(models={"demand": planned(tmp_path, 1)}), NAMES)
    assert next_slots(first, Plan(), NAMES)[0] == first


@pytest.mark.parametrize("damage", ["gone", "byte", "golden", "digest"])
def test_a_version_that_cannot_be_loaded_leaves_the_old(tmp_path: Path, damage: str) -> None:
    first, _ = next_slots({}, Plan(models={"demand": planned(tmp_path, 1)}), NAMES)
    slot = planned(tmp_path, 2, wrong_golden=damage == "golden")
    graph = Path(slot.bundle) / "model.onnx"
    if damage == "gone":
        shutil.rmtree(slot.bundle)
    elif damage == "byte":
        graph.write_bytes(graph.read_bytes()[:-1] + b"\x00")
    elif damage == "digest":
        slot = slot.model_copy(update={"digest": "0" * 64})
    second, problems = next_slots(first, Plan(models={"demand": slot}), NAMES)
    assert second["demand"] is first["demand"]
    assert list(problems) == ["demand"]


def test_wrong_golden_rows_are_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="golden row `empty`"):
        load_slot("demand", planned(tmp_path, 2, wrong_golden=True))


def test_a_fault_of_our_own_in_loading_leaves_the_old_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = next_slots({}, Plan(models={"demand": planned(tmp_path, 1)}), NAMES)
    second = Plan(models={"demand": planned(tmp_path, 2)})

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Runtime, "replay", broken)
    slots, problems = next_slots(first, second, NAMES)
    assert slots["demand"] is first["demand"]
    assert isinstance(problems["demand"], ZeroDivisionError)
