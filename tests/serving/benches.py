"""A sidecar on a bench: one look at a time, with its clock in hand, against a real registry on SQLite."""

import os
from datetime import UTC, datetime
from pathlib import Path

from tests.serving.registries import MODEL, Registered
from tiltyard.bundle.runtime import Runtime
from tiltyard.bundle.sandbox import Verification
from tiltyard.errors import BundleError
from tiltyard.project.gates import GatesSection
from tiltyard.registry.ledger import Ledger
from tiltyard.serving.champions import Champions
from tiltyard.serving.plan import Plan, read_plan
from tiltyard.serving.settings import SidecarSettings
from tiltyard.serving.sidecar import Sidecar
from tiltyard.storage.folder import FolderStore


class Bench:
    """A sidecar with its clock in hand."""

    def __init__(self, registered: Registered, gates: GatesSection | None = None, *, replica: str = "") -> None:
        home = registered.workplace.home / replica
        self.registered = registered
        self.now = datetime(2026, 11, 20, 18, tzinfo=UTC)
        self.settings = SidecarSettings(
            gates={MODEL: gates or GatesSection()},
            plan=home / "plan.json",
            cache=home / "bundles",
            project_file=registered.workplace.project_file,
            parent=os.getpid(),
            poll_seconds=1.0,
        )
        self.champions = Champions(registered.workplace)
        self.ledger = Ledger(FolderStore(Path(registered.workplace.store)), MODEL)
        self.restart()

    def restart(self) -> None:
        """Start again, as after a crash."""
        self.sidecar = Sidecar(self.settings, self.champions, clock=lambda: self.now)

    def look(self) -> Plan:
        """Look once and return what is in the plan file."""
        self.sidecar.look()
        plan = read_plan(self.settings.plan)
        assert plan == self.sidecar.plan
        return plan

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.ledger.entries()]


def replayed(folder: Path, **_: object) -> Verification:
    """Verify a bundle in this process, which is quicker."""
    try:
        Runtime.load(folder).replay()
    except BundleError as error:
        return Verification(passed=False, sentence=error.what)
    return Verification(passed=True, sentence="in this process")
