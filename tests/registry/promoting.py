"""Promotions in processes of their own, to be killed or raced; started by the tests as a script.

Each line of standard input is a job, `{"project": …, "version": …, "kill": …}`; the process of a job is forked after
the imports, so that many jobs cost one start. Jobs of one line `[…, …]` are raced against each other.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from tiltyard.errors import ConflictError
from tiltyard.registry import moving
from tiltyard.registry.client import Registry
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.models import champion
from tiltyard.registry.promotion import promote, rollback
from tiltyard.registry.records import ModelRef
from tiltyard.storage.folder import FolderStore

STEPS = ("before-intent", "after-intent", "after-alias", "after-completion")


def die() -> NoReturn:
    """Be killed as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class DeadlyStore(FolderStore):
    """A folder whose user is killed around a `create`."""

    def __init__(self, root: Path, step: str) -> None:
        super().__init__(root)
        self._step = step
        self._created = 0

    def create(self, key: str, content: bytes) -> None:
        if self._step == "before-intent":
            die()
        super().create(key, content)
        self._created += 1
        if (self._step, self._created) in {("after-intent", 1), ("after-completion", 2)}:
            die()


def work(job: dict[str, Any], registry: Registry, store: Path, start: int) -> None:
    """Do one job in this process, which may end there."""
    ledger = Ledger(DeadlyStore(store, job.get("kill", "")), job["project"])
    if job.get("kill") == "after-alias":
        vars(moving)["set_alias"] = deadly_alias
    os.read(start, 1)
    try:
        if job["version"] is None:
            done = rollback(ledger, registry, actor="job", reason="worse")
        else:
            done = promote(ledger, registry, job["version"], actor="job", reason="better", expected_champion=1)
        answer = {"changed": done.changed, "sentence": done.sentence}
    except ConflictError as error:
        answer = {"conflict": str(error)}
    (store / f"{job['project']}-{job['version']}.json").write_text(json.dumps(answer))


def deadly_alias(registry: Registry, ref: ModelRef, alias: str) -> None:
    """Move an alias and be killed."""
    registry.client.set_registered_model_alias(ref.name, alias, str(ref.version))
    die()


def warm(tracking_uri: str) -> Registry:
    """Open the registry, with every module loaded and no connection left open that a fork would share."""
    registry = Registry(tracking_uri)
    champion(registry, "nobody")
    registry.client._get_registry_client().store.engine.dispose()  # type: ignore[no-untyped-call]  # of MLflow
    return registry


def race(jobs: list[dict[str, Any]], registry: Registry, store: Path) -> None:
    """Fork a process per job, let them start at once, and wait for all."""
    start, release = os.pipe()
    children = []
    for job in jobs:
        child = os.fork()
        if child == 0:
            work(job, registry, store, start)
            os._exit(0)
        children.append(child)
    os.write(release, b"x" * len(jobs))
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    opened = warm(sys.argv[1])
    for line in sys.stdin:
        given = json.loads(line)
        race(given if isinstance(given, list) else [given], opened, Path(sys.argv[2]))
