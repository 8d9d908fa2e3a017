"""Shipping beside the workers: what they logged goes to the store, and no trouble of the store is theirs.

It has a thread of its own in the sidecar's process, so that a slow store never delays a swap.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from tiltyard.errors import TiltyardError
from tiltyard.predictions.files import backlog, log_folder
from tiltyard.predictions.recovery import recover
from tiltyard.predictions.shipping import Shipment, ship
from tiltyard.project.environment import Workplace
from tiltyard.storage.base import Store
from tiltyard.storage.opening import open_store

LOOK_SECONDS = 2.0
LONGEST_PAUSE = 120.0
MUCH_BYTES = 1 << 30
"""Length of the backlog from which it is complained about."""

_YOUNG = 50_000
"""Objects after which Python looks for cycles among them: records have none, and to look took a third of their cost."""

_log = logging.getLogger(__name__)


class Shipper:
    """Recovers what dead workers left and ships what is sealed, one look at a time; never raises.

    Args:
        folder: Folder of the segments.
        opened: Opens the store; asked again after a failure.
        clock: Seconds that only grow.
        much_bytes: Length of the backlog from which it is complained about.
    """

    def __init__(
        self,
        folder: Path,
        opened: Callable[[], Store],
        *,
        clock: Callable[[], float] = time.monotonic,
        much_bytes: int = MUCH_BYTES,
    ) -> None:
        self._folder = folder
        self._opened = opened
        self._clock = clock
        self._much_bytes = much_bytes
        self._store: Store | None = None
        self._pause = 0.0
        self._not_before = 0.0
        self._said: dict[str, str] = {}
        self._shipped = Shipment()
        self._turn = threading.Lock()

    def tick(self) -> Shipment:
        """Look once; after a trouble not before a pause is over, which grows while it lasts.

        Returns:
            What was shipped.
        """
        if self._clock() < self._not_before:
            return Shipment()
        return self.ship_now()

    def ship_now(self) -> Shipment:
        """Look once, whatever was before."""
        with self._turn:
            done = all([self._tried("log", self._recover), self._tried("store", self._ship)])
            self._pause = 0.0 if done else min(max(2 * self._pause, LOOK_SECONDS), LONGEST_PAUSE)
            self._not_before = self._clock() + self._pause
            self._look_at_backlog()
            shipped, self._shipped = self._shipped, Shipment()
            return shipped

    def finish(self, seconds: float) -> None:
        """Bring away what is left, as far as that is possible within a time.

        Args:
            seconds: Longest time; what is not away then waits for the next start.
        """
        last = threading.Thread(target=self.ship_now, daemon=True)
        last.start()
        last.join(seconds)

    def _tried(self, subject: str, step: Callable[[], None]) -> bool:
        """Whether a step was done to its end; a trouble is said when it is new, and once when it is over."""
        try:
            step()
        except (TiltyardError, OSError) as error:
            self._say(subject, f"predictions wait on this machine: {error}")
            return False
        except Exception:  # noqa: BLE001  # a fault of ours must not end shipping for good
            _log.exception("predictions could not be shipped")
            return False
        if self._said.pop(subject, None) is not None:
            _log.info("predictions are shipped again")
        return True

    def _recover(self) -> None:
        found = recover(self._folder)
        if found.sealed:
            _log.warning("%d segments of dead workers were sealed", found.sealed)

    def _ship(self) -> None:
        if self._store is None:
            self._store = self._opened()
        for shipment in ship(self._folder, self._store):
            self._shipped += shipment
            if shipment.damaged:
                _log.error("%d damaged lines were put aside in %s", shipment.damaged, self._folder)
        if self._shipped.segments:
            pa.default_memory_pool().release_unused()

    def _look_at_backlog(self) -> None:
        """Complain about a backlog that fills the disk."""
        waiting = backlog(self._folder)
        if waiting.bytes < self._much_bytes:
            self._said.pop("backlog", None)
            return
        where, size = self._folder, f"{waiting.bytes / 1e9:.1f} GB"
        if "backlog" not in self._said:
            self._say("backlog", f"{size} of predictions wait in {where}: see to the store before the disk is full")

    def _say(self, subject: str, sentence: str) -> None:
        if self._said.get(subject) != sentence:
            self._said[subject] = sentence
            _log.warning("%s", sentence)


def shipper_of(workplace: Workplace) -> Shipper:
    """Return the shipper of a home.

    Args:
        workplace: Addresses in force.
    """
    endpoint = workplace.environment.s3_endpoint

    def opened() -> Store:
        return open_store(workplace.store, endpoint=endpoint, cache=workplace.cache)

    return Shipper(log_folder(workplace.home), opened)


def start_shipping(workplace: Workplace) -> Shipper:
    """Ship on a thread of its own for as long as the process lives.

    Args:
        workplace: Addresses in force.

    Returns:
        The shipper, whose `finish` brings away what is left at the end.
    """
    shipper = shipper_of(workplace)
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    threading.Thread(target=_keep_shipping, args=(shipper,), name="shipping", daemon=True).start()
    return shipper


def _keep_shipping(shipper: Shipper) -> None:
    while True:
        shipper.tick()
        time.sleep(LOOK_SECONDS)
