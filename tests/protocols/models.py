"""Models whose answers depend on every bit of a row, and rows for them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.serving.bundles import CONTRACT_OF_CHURN, CONTRACT_OF_DEMAND, write_weighing_bundle
from tiltyard.data.contract import Column, Contract, Kind, NumberFormat, Role
from tiltyard.project.metrics import Task
from tiltyard.serving.plan import Plan, SlotPlan

CONTRACT_OF_FLOWERS = Contract(
    task=Task.MULTICLASS,
    columns=(
        Column(name="id", kind=Kind.TEXT, role=Role.ID),
        Column(name="length", kind=Kind.NUMBER),
        Column(name="width", kind=Kind.NUMBER, nullable=True),
        Column(name="petals", kind=Kind.INTEGER, nullable=True),
        Column(name="wild", kind=Kind.BOOLEAN, nullable=True),
        Column(name="species", kind=Kind.CATEGORY, role=Role.TARGET, levels=("iris", "rose", "tulip")),
    ),
    classes=("iris", "rosé", "tulip"),
)
CONTRACT_OF_STAYS = Contract(
    task=Task.BINARY,
    columns=(
        Column(name="age", kind=Kind.NUMBER, minimum=0.0, maximum=99.5),
        Column(name="visits", kind=Kind.INTEGER, nullable=True),
        Column(name="member", kind=Kind.BOOLEAN, nullable=True),
        Column(name="plan", kind=Kind.CATEGORY, nullable=True, levels=("basic", "gold", "7")),
        Column(name="remark", kind=Kind.TEXT, nullable=True),
        Column(name="seen", kind=Kind.TIME, nullable=True),
        Column(name="stays", kind=Kind.INTEGER, role=Role.TARGET),
    ),
    classes=(0, 1),
    numbers=NumberFormat(decimal=","),
)
CONTRACTS = {
    "churn": CONTRACT_OF_CHURN,
    "demand": CONTRACT_OF_DEMAND,
    "flowers": CONTRACT_OF_FLOWERS,
    "stays": CONTRACT_OF_STAYS,
}
STAYS: list[dict[str, Any]] = [
    {
        "age": 41.1,
        "visits": 3,
        "member": True,
        "plan": "gold",
        "remark": "späte Anreise",
        "seen": "2026-11-20T10:00:00",
    },
    {"age": 1 / 3, "visits": None, "member": None, "plan": None, "remark": None, "seen": None},
    {"age": 99, "visits": -7, "member": False, "plan": "7", "remark": "two words", "seen": "2025-02-28"},
    {
        "age": 100.25,
        "visits": 2**40,
        "member": False,
        "plan": "never seen",
        "remark": "x",
        "seen": "1999-12-31T23:59:59",
    },
]
FLOWERS: list[dict[str, Any]] = [
    {"length": 5.1, "width": 3.5, "petals": 3, "wild": True},
    {"length": 0.1, "width": None, "petals": None, "wild": None},
    {"length": -1e-7, "width": 1e12, "petals": 8, "wild": False},
]


def write_models(folder: Path) -> Plan:
    """Write a bundle of each model and return the plan that serves them, each as version 3."""
    since = datetime(2026, 11, 20, 18, tzinfo=UTC)
    models = {}
    for name, contract in CONTRACTS.items():
        digest = write_weighing_bundle(folder / name, contract)
        models[name] = SlotPlan(version=3, bundle=str(folder / name), digest=digest, since=since)
    return Plan(models=models)
