"""Does MLflow answer, is the ledger whole, and do the two agree?"""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tiltyard.errors import RegistryError
from tiltyard.project.diagnosis import Diagnosis, doubtful, fine, wrong
from tiltyard.project.environment import Workplace
from tiltyard.registry import models
from tiltyard.registry.client import Registry, connect
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.webhooks import WEBHOOK

_SECONDS = 5.0
_SQLITE = "sqlite:///"


def check_ledger(ledger: Ledger) -> Iterator[Diagnosis]:
    """See whether an entry was changed or removed.

    Args:
        ledger: The project's ledger.

    Raises:
        StorageError: The store cannot be read.
    """
    damage = ledger.verify()
    if damage is None:
        yield fine("ledger", f"None of its {len(ledger.entries())} entries was changed or removed.")
    else:
        cure = "Put the entry back from a copy of the store; what the chain holds before it can be trusted."
        yield wrong("ledger", f"Entry {damage.sequence}: {damage.sentence}.", cure)


def check_mlflow(workplace: Workplace, ledger: Ledger) -> Iterator[Diagnosis]:
    """See whether MLflow answers, in a version that fits, and names the champion that the ledger names.

    Args:
        workplace: Where MLflow is.
        ledger: The project's ledger.

    Raises:
        RegistryError: MLflow does not answer or refuses; or the ledger is damaged.
        StorageError: The store cannot be read.
    """
    if workplace.tracking_uri.startswith(_SQLITE) and not _database(workplace.tracking_uri):
        yield fine("mlflow", f"{workplace.tracking_uri} is not there yet; the first run makes it.")
        return
    _see_answer(workplace.tracking_uri)
    registry = connect(workplace)
    if registry.is_server:
        yield from _check_version(registry)
    else:
        yield fine("mlflow", f"{registry.shown_uri} can be read.")
    yield from _check_champion(registry, ledger)


def check_webhook(workplace: Workplace, url: str) -> Iterator[Diagnosis]:
    """See whether MLflow tells the model server about a moved alias.

    Args:
        workplace: Where MLflow is.
        url: Address of the model server's hook.

    Raises:
        RegistryError: MLflow does not answer or refuses.
    """
    _see_answer(workplace.tracking_uri)
    registry = connect(workplace)
    with registry.explained("read the webhooks"):
        found = [webhook for webhook in registry.client.list_webhooks() if webhook.name == WEBHOOK]
    if any(webhook.url == url for webhook in found):
        yield fine("webhook", f"MLflow tells {url} about a moved alias.")
    else:
        sentence = "MLflow does not tell the model server about a moved alias; it finds out at its next look."
        yield doubtful("webhook", sentence, "Start the stack again: `tiltyard down`, then `tiltyard up`.")


def _database(uri: str) -> bool:
    """Whether an SQLite file is there."""
    return Path(uri.removeprefix(_SQLITE)).exists()


def _see_answer(uri: str) -> None:
    """Ask a server for its health: the client itself would try again for minutes."""
    if not uri.startswith(("http://", "https://")):
        return
    cure = "Start it (`tiltyard up` on one machine), or mend MLFLOW_TRACKING_URI."
    where = urlsplit(uri).netloc.rpartition("@")[2]
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=_SECONDS)
    except requests.RequestException as error:
        raise RegistryError(f"MLflow does not answer ({type(error).__name__})", where=where, cure=cure) from error
    if not answer.ok:
        raise RegistryError(f"MLflow answers with {answer.status_code}", where=where, cure=cure)


def _check_version(registry: Registry) -> Iterator[Diagnosis]:
    """Compare the server's version with the client's, where the server tells it to strangers."""
    mine = importlib.metadata.version("mlflow")
    try:
        answer = requests.get(f"{registry.tracking_uri.rstrip('/')}/version", timeout=_SECONDS)
    except requests.RequestException as error:
        raise RegistryError(f"MLflow does not answer ({type(error).__name__})", where=registry.shown_uri) from error
    theirs = answer.text.strip() if answer.ok else mine
    if theirs == mine:
        yield fine("mlflow", f"{registry.shown_uri} answers, version {mine}.")
    else:
        sentence = f"{registry.shown_uri} answers with version {theirs[:40]}, and the client here is {mine}."
        yield doubtful("mlflow", sentence, "Run one version on both sides.")


def _check_champion(registry: Registry, ledger: Ledger) -> Iterator[Diagnosis]:
    """Compare the alias with the ledger."""
    alias, recorded = models.champion(registry, ledger.project), ledger.champion()
    moved = alias.version if alias else None
    if moved == recorded:
        yield fine("champion", f"Version {moved}." if moved else "None yet; `tiltyard train` makes the first version.")
        return
    sentence = f"MLflow's alias `champion` is at {_named(moved)}, and the ledger names {_named(recorded)}."
    cure = "It was moved by hand: the model server, or the next run, records it or puts it back."
    yield doubtful("champion", sentence, cure)


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
