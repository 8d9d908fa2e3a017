"""Versions in a real MLflow registry on SQLite, with hand-made bundles."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from mlflow import MlflowClient

from tests.serving.bundles import CONTRACT_OF_DEMAND, Manner, telling_graph, write_bundle
from tiltyard.data.contract import Contract
from tiltyard.project.environment import Environment, Workplace
from tiltyard.project.rollout import RolloutSection
from tiltyard.registry import rollouts
from tiltyard.registry.client import connect
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.promotion import rollback
from tiltyard.registry.records import BUNDLE_DIGEST, Scalar
from tiltyard.registry.rollout import Rollout, latest
from tiltyard.storage.folder import FolderStore

MODEL = "demand"


def workplace_at(home: Path) -> Workplace:
    """Return a workplace with the default registry and store in `home`."""
    return Workplace(home / "tiltyard.yaml", Environment(home=home))


class Registered:
    """A registered model whose versions predict their own number.

    Attributes:
        workplace: Where the registry is.
        name: The model.
        client: MLflow's client.
    """

    def __init__(self, home: Path, name: str = MODEL) -> None:
        self.workplace = workplace_at(home)
        self.name = name
        self._folder = home / "versions" / name
        self.client: MlflowClient = connect(self.workplace).client
        self.client.create_registered_model(name)

    def add(
        self,
        *,
        expected: Sequence[float] | None = None,
        damage: bool = False,
        digest: str = "",
        bundle: bool = True,
        contract: Contract = CONTRACT_OF_DEMAND,
        manner: Manner | None = None,
    ) -> int:
        """Register a version: whole, with wrong golden rows, with a damaged graph, another digest, or no bundle."""
        number = sum(1 for _ in self._folder.glob("*")) + 1
        folder = self._folder / str(number)
        graph = None if manner is None else telling_graph(number, manner)
        found = write_bundle(folder / "bundle", contract, [float(number)], expected=expected, graph=graph)
        file = folder / "bundle" / "model.onnx"
        if damage:
            file.write_bytes(file.read_bytes()[:-1])
        tags = {BUNDLE_DIGEST: digest or found} if bundle else {}
        if not bundle:
            shutil.rmtree(folder / "bundle")
        made = self.client.create_model_version(self.name, source=folder.as_uri(), tags=tags)
        assert int(made.version) == number
        return number

    def promote(self, version: int) -> None:
        """Move the alias by hand, as the MLflow UI does."""
        self.client.set_registered_model_alias(self.name, "champion", str(version))

    @property
    def ledger(self) -> Ledger:
        """The model's ledger."""
        return Ledger(FolderStore(Path(self.workplace.store)), self.name)

    def roll_out(self, version: int, settings: RolloutSection) -> Rollout:
        """Start a rollout as a training run does."""
        return rollouts.start(
            self.ledger,
            connect(self.workplace),
            version,
            settings=settings,
            actor="ada",
            reason="it won",
            expected_champion=self.ledger.champion(),
        )

    def latest(self) -> Rollout:
        """Return the latest rollout by the ledger."""
        found = latest(self.ledger.entries())
        assert found is not None
        return found

    def roll_back(self) -> int:
        """Return to the champion before, as `tiltyard rollback` does."""
        return rollback(self.ledger, connect(self.workplace), actor="ada", reason="a bad day").ref.version

    def judge(self, version: int, verdict: str = "promote", *, champion: int | None = None) -> int:
        """Write into the ledger what a training run does that compared it with a champion, and return the version."""
        ledger = self.ledger
        ledger.append(
            "registered", actor="ada", version=version, evidence={"bundle": self.tags(version)[BUNDLE_DIGEST]}
        )
        evidence: dict[str, Scalar] = {"verdict": verdict, "champion": champion}
        ledger.append("judged", actor="ada", version=version, evidence=evidence)
        return version

    def copy_to(self, other: "Registered", version: int) -> int:
        """Copy a version into another model, as the button *Promote model* does."""
        made = self.client.create_model_version(
            other.name, source=f"models:/{self.name}/{version}", tags=self.tags(version)
        )
        return int(made.version)

    def alias(self) -> int | None:
        """Return the version that the registry calls champion."""
        found = self.client.get_registered_model(self.name).aliases.get("champion")
        return None if found is None else int(found)

    def tags(self, version: int) -> dict[str, str]:
        """Return a version's tags."""
        return dict(self.client.get_model_version(self.name, str(version)).tags)

    def remove_files(self, version: int) -> None:
        """Remove a version's files, as an artifact store that is down would."""
        shutil.rmtree(self._folder / str(version))
