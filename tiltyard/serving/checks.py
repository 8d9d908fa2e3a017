"""Figures of the last check of each model, fetched beside the workers and shown with what they count.

The sidecar fetches, on a thread of its own; a worker that is asked for `/metrics` reads a small file of this machine.
With the store away the last figures stay, and the moment of the check among them tells how old they are.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from pydantic import ValidationError

from tiltyard.errors import TiltyardError
from tiltyard.evaluation.figures import Figure, Figures, figures_key
from tiltyard.serving.files import write_whole
from tiltyard.storage.base import Store

PAUSE_SECONDS = 15.0
_ENDING = ".check.json"

_log = logging.getLogger(__name__)


class Checks:
    """Fetches the figures of some models; never raises.

    Args:
        names: The models.
        folder: Where workers look for them.
        opened: Opens the store; asked at each look.
    """

    def __init__(self, names: Collection[str], folder: Path, opened: Callable[[], Store]) -> None:
        self._names = names
        self._folder = folder
        self._opened = opened
        self._said = ""
        for path in folder.glob(f"*{_ENDING}"):
            if path.name.removesuffix(_ENDING) not in names:
                path.unlink(missing_ok=True)

    def look(self) -> None:
        """Fetch once; a trouble is said when it is new."""
        trouble = ""
        for name in self._names:
            try:
                self._fetch(name)
            except (TiltyardError, ValidationError, OSError) as error:
                trouble = f"the last check of `{name}` cannot be read: {error}"
        if trouble and trouble != self._said:
            _log.warning("%s", trouble)
        self._said = trouble

    def _fetch(self, name: str) -> None:
        store, key, path = self._opened(), figures_key(name), self._folder / f"{name}{_ENDING}"
        if store.exists(key):
            write_whole(path, Figures.model_validate_json(store.read(key)).model_dump_json())
        else:
            path.unlink(missing_ok=True)


def read_checks(folder: Path) -> tuple[Figure, ...]:
    """Return the figures of all models, those of one name as one; a file that cannot be read is left out.

    Args:
        folder: Where they are.
    """
    found: dict[str, Figure] = {}
    for path in sorted(folder.glob(f"*{_ENDING}")):
        try:
            read = Figures.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        for one in read.figures:
            before = found.get(one.name)
            known = one if before is None else before.model_copy(update={"samples": before.samples + one.samples})
            found[one.name] = known
    return tuple(found.values())


def keep_looking(checks: Checks) -> None:
    """Fetch on a thread of its own for as long as the process lives.

    Args:
        checks: What fetches.
    """
    threading.Thread(target=_keep_looking, args=(checks,), name="checks", daemon=True).start()


def _keep_looking(checks: Checks) -> None:
    while True:
        checks.look()
        time.sleep(PAUSE_SECONDS)
