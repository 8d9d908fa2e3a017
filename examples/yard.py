"""The demo's project and its stack: what a person would edit, run, and look up in both UIs."""

import csv
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from examples.stage import ask, edited, expect, fail, run, wait
from tiltyard.cli.opening import find_ledger, find_project, find_store
from tiltyard.monitoring.history import Check, History
from tiltyard.predictions.reading import Window, count_predictions
from tiltyard.project.addresses import Addresses, read_addresses
from tiltyard.project.yamlfile import dump_yaml
from tiltyard.registry.entry import Entry
from tiltyard.storage.base import Store

_DAY = timedelta(days=1)
_ENDED_BADLY = {"FAILED", "CRASHED", "CANCELLED"}


class Yard:
    """A project in a folder of its own, and the stack that is up for it.

    Args:
        folder: The folder; what it holds of an earlier demo goes, once its stack is down.
        model: Name of the project and of its model.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder
        self.model = model
        self.file = folder / "tiltyard.yaml"
        self.table = folder / f"{model}.csv"
        self._where = ("--project", str(folder))
        if self.file.exists():
            self.run("down")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    @property
    def addresses(self) -> Addresses:
        """Where the parts of the stack are."""
        return read_addresses((self.folder / ".tiltyard").resolve()) or fail("the stack is not up")

    def run(self, *words: str, code: int = 0) -> None:
        """Run a command of the project."""
        run(*words, *self._where, code=code)

    def edit(self, why: str = "", **sections: dict[str, Any]) -> None:
        """Change sections of the project file, as a person would in an editor; `why` is a comment above them."""
        self.file.write_text(edited(self.file.read_text(), sections, why))
        print(f"tiltyard.yaml: {dump_yaml(sections).strip()}{f'  # {why}' if why else ''}", flush=True)

    def train(self, reason: str, expected: str) -> None:
        """Train a challenger and see that the verdict is the one announced."""
        self.run("train", "--reason", reason)
        expect(self.last("judged").evidence["verdict"], expected, "the verdict")

    def check(self, *, code: int, action: str) -> Check:
        """Check the champion and see that it ends as announced; return what was found."""
        self.run("monitor", code=code)
        found = History(self._store, self.model).latest()
        if found is None or found.decision is None:
            fail("no check was kept")
        expect(found.decision.action, action, "what follows from the check")
        return found

    def last(self, kind: str) -> Entry:
        """Return the ledger's last entry of a kind."""
        entries = find_ledger(self.folder).entries()
        found = next((entry for entry in reversed(entries) if entry.kind == kind), None)
        return found or fail(f"nothing was {kind} yet")

    def has(self, kind: str) -> bool:
        """Whether the ledger's last entry is of a kind."""
        return find_ledger(self.folder).entries()[-1].kind == kind

    def is_served(self, version: int) -> bool:
        """Whether the model server answers with a version."""
        served = ask(f"{self.addresses.server}/v1/models")["models"]
        return any(model["version"] == version for model in served)

    def label(self, ids: Sequence[str], labels: Sequence[object]) -> None:
        """Give labels as a table, empty where none has come."""
        file = self.folder / "labels.csv"
        with file.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("id", "label"), *zip(ids, labels, strict=True)])
        self.run("feedback", str(file))

    def wait_for_log(self, rows: int) -> None:
        """Wait until so many answers have been brought to the store, where a check sees them."""
        store, now = self._store, datetime.now(UTC)

        def there() -> int:
            return count_predictions(store, self.model, Window(now - _DAY, now + _DAY))

        wait(lambda: there() >= rows, f"{rows} answers are in the store", progress=lambda: f"{there()} of {rows}")

    def deployment(self) -> str:
        """Return the id of the training deployment."""
        return str(ask(f"{self.addresses.prefect}/deployments/name/train/{self.model}")["id"])

    def start_run(self, reason: str) -> str:
        """Start a run of the training deployment, as the form in Prefect's UI does; return its id."""
        url = f"{self.addresses.prefect}/deployments/{self.deployment()}/create_flow_run"
        return str(ask(url, {"parameters": {"reason": reason}, "state": {"type": "SCHEDULED"}})["id"])

    def automatic_run(self) -> dict[str, Any]:
        """Return the training run that an automation of Prefect's has started; empty while there is none."""
        runs = {"flow_runs": {"deployment_id": {"any_": [self.deployment()]}}}
        found = ask(f"{self.addresses.prefect}/flow_runs/filter", runs)
        return next((one for one in found if (one["created_by"] or {}).get("type") == "AUTOMATION"), {})

    def progress(self, flow_run: str) -> str:
        """Return how far a run is: its state, and the steps that run; one that has failed ends the demo."""
        prefect = self.addresses.prefect
        found = ask(f"{prefect}/flow_runs/{flow_run}")
        if found["state_type"] in _ENDED_BADLY:
            fail(f"{found['name']}: {found['state']['message']} ({self.page_of_run(flow_run)})")
        steps = {"flow_runs": {"id": {"any_": [flow_run]}}, "task_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
        names = [re.sub(r"-\w+$", "", step["name"]) for step in ask(f"{prefect}/task_runs/filter", steps)]
        return ": ".join([f"the training run is {found['state_name'].lower()}", *names[:1]])

    def prefect_page(self, path: str) -> str:
        """Return the address of a page in Prefect's UI."""
        return f"{self.addresses.prefect.removesuffix('/api')}/v2/{path}"

    def page_of_run(self, flow_run: str) -> str:
        """Return the address of a run's page in Prefect's UI."""
        return self.prefect_page(f"runs/flow-run/{flow_run}")

    def pages_of_check(self) -> Iterator[tuple[str, str]]:
        """Yield name and address of the pages of the last check, as Prefect shows them."""
        yield "the summary, in Prefect", self.prefect_page(f"artifacts/key/{self.model}-monitoring")
        wanted = {"artifacts": {"key": {"any_": [f"{self.model}-monitoring-pages"]}}, "sort": "CREATED_DESC"}
        newest = ask(f"{self.addresses.prefect}/artifacts/filter", wanted | {"limit": 1})
        yield from re.findall(r"\[(.+?)\]\(<(.+?)>\)", newest[0]["data"] if newest else "")

    def newest_card(self) -> str:
        """Return the path of the last challenger's model card."""
        cards = (self.folder / ".tiltyard" / "runs").glob("*/card.html")
        return os.path.relpath(max(cards, key=lambda file: file.stat().st_mtime))

    @property
    def _store(self) -> Store:
        _, workplace = find_project(self.folder)
        return find_store(workplace)
