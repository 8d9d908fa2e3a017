"""The cold start: what a server begins with where it has no plan of its own yet.

Bundles are kept once for all servers of a home, and a plan for each port. So a server on a port of its own begins with
the champions that another one had fetched and verified, and need not wait for a registry that may be away.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from tiltyard.errors import ServingError
from tiltyard.serving.cache import holds
from tiltyard.serving.plan import Plan, SlotPlan, read_plan, write_plan


def champions_of(plans: Iterable[Plan], names: Collection[str]) -> dict[str, SlotPlan]:
    """Return, by model, the champion of the first plan that has one whose bundle is still there.

    Args:
        plans: The newest first.
        names: Models to look for; others are left out.
    """
    found: dict[str, SlotPlan] = {}
    for plan in plans:
        there = {name: slot for name, slot in plan.models.items() if name in names and holds(Path(slot.bundle))}
        found = there | found
    return found


def begin_from_others(path: Path, names: Collection[str]) -> Plan | None:
    """Write a server's first plan from those of other ports, the latest first; the sidecar goes on from there.

    For a new server, before its children start. A plan that says anything is left as it is, and so is one that cannot
    be read; candidates and refusals are not taken over: the ledger tells of them.

    Args:
        path: The server's own plan, `<folder>/port-N/plan.json`.
        names: Models that it serves.

    Returns:
        What was written; None when nothing was.
    """
    with suppress(ServingError):
        if read_plan(path) == Plan():
            models = champions_of(_others(path), names)
            if models:
                plan = Plan(models=models)
                write_plan(path, plan)
                return plan
    return None


def _others(path: Path) -> list[Plan]:
    """Return the plans of other ports that can be read, the one written last first."""
    written: list[tuple[int, Path]] = []
    for file in path.parent.parent.glob(f"port-*/{path.name}"):
        with suppress(OSError):
            written.append((file.stat().st_mtime_ns, file))
    plans: list[Plan] = []
    for _, file in sorted(written, reverse=True):
        with suppress(ServingError):
            plans.append(read_plan(file))
    return plans
