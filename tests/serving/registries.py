"""Versions in a real MLflow registry on SQLite, with hand-made bundles."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from mlflow import MlflowClient

from tests.serving.bundles import CONTRACT_OF_DEMAND, write_bundle
from tiltyard.project.environment import Environment, Workplace
from tiltyard.registry.client import connect
from tiltyard.registry.records import BUNDLE_DIGEST

MODEL = "demand"


def workplace_at(home: Path) -> Workplace:
    """Return a workplace with the default registry and store in `home`."""
    return Workplace(home / "tiltyard.yaml", Environment(home=home))


class Registered:
    """A registered model whose versions predict their own number.

    Attributes:
        workplace: Where the registry is.
        client: MLflow's client.
    """

    def __init__(self, home: Path) -> None:
        self.workplace = workplace_at(home)
        self._folder = home / "versions"
        self.client: MlflowClient = connect(self.workplace).client
        self.client.create_registered_model(MODEL)

    def add(
        self, *, expected: Sequence[float] | None = None, damage: bool = False, digest: str = "", bundle: bool = True
    ) -> int:
        """Register a version: whole, with wrong golden rows, with a damaged graph, another digest, or no bundle."""
        number = sum(1 for _ in self._folder.glob("*")) + 1
        folder = self._folder / str(number)
        found = write_bundle(folder / "bundle", CONTRACT_OF_DEMAND, [float(number)], expected=expected)
        graph = folder / "bundle" / "model.onnx"
        if damage:
            graph.write_bytes(graph.read_bytes()[:-1])
        tags = {BUNDLE_DIGEST: digest or found} if bundle else {}
        if not bundle:
            shutil.rmtree(folder / "bundle")
        made = self.client.create_model_version(MODEL, source=folder.as_uri(), tags=tags)
        assert int(made.version) == number
        return number

    def promote(self, version: int) -> None:
        """Move the alias by hand, as the MLflow UI does."""
        self.client.set_registered_model_alias(MODEL, "champion", str(version))

    def tags(self, version: int) -> dict[str, str]:
        """Return a version's tags."""
        return dict(self.client.get_model_version(MODEL, str(version)).tags)

    def remove_files(self, version: int) -> None:
        """Remove a version's files, as an artifact store that is down would."""
        shutil.rmtree(self._folder / str(version))
