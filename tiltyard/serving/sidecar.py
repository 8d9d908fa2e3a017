"""The sidecar: looks at the registry, fetches and verifies new champions, and writes the plan. Workers do none of it.

Whatever fails here, registry, store, disk or a bundle, changes nothing for the workers: the versions in the plan go on
answering. A version that fails its verification is not planned; the reason goes on the version's tag, into the ledger
and into the log. Started by `tiltyard.serving.server` as `python -m tiltyard.serving.sidecar SETTINGS`.
"""

import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from tiltyard.bundle.sandbox import verify_bundle
from tiltyard.errors import BundleError, ServingError, TiltyardError
from tiltyard.project.environment import Workplace
from tiltyard.registry.ledger import utc_now
from tiltyard.registry.records import ModelRef
from tiltyard.serving.cache import BundleCache, holds
from tiltyard.serving.champions import Champions
from tiltyard.serving.plan import Plan, Refusal, SlotPlan, read_plan, write_plan
from tiltyard.serving.processes import orphaned, start_log
from tiltyard.serving.settings import SidecarSettings

AGAIN_AFTER = timedelta(minutes=5)
"""When a refused version is tried once more: a machine too busy to verify in time is no fault of the version."""

_HINTS = 65_536
"""As many as a pipe holds: they all ask for the same look."""

_log = logging.getLogger(__name__)


class Sidecar:
    """Brings the plan to what the registry says, one look at a time.

    Args:
        settings: What the supervisor told.
        champions: The registry and the ledger.
        clock: Source of the plan's times, with a time zone.
    """

    def __init__(
        self, settings: SidecarSettings, champions: Champions, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._settings = settings
        self._champions = champions
        self._clock = clock
        self._cache = BundleCache(settings.cache)
        self._aliases: dict[str, ModelRef | None] = {}
        self._recorded: dict[str, ModelRef | None] = {}
        self._confirmed: dict[str, ModelRef] = {}
        self._said: dict[str, str] = {}
        self.plan = self._last_plan()

    def look(self) -> None:
        """Look once at every model's champion; what cannot be done now is said once and tried at the next look."""
        for name in self._settings.gates:
            for step in (self._follow_champion, self._record_move):
                try:
                    step(name)
                except TiltyardError as error:
                    self._say(f"{name}.{step.__name__}", str(error))

    def _last_plan(self) -> Plan:
        """Return the plan of the last time; an unreadable one is written anew."""
        self._cache.sweep()
        try:
            return read_plan(self._settings.plan)
        except ServingError as error:
            _log.error("%s", error)
            return Plan()

    def _record_move(self, name: str) -> None:
        """Have the ledger told of a move of the alias that did not go through it, once a move."""
        alias = self._aliases.get(name)
        if self._recorded.get(name) != alias:
            self._champions.record_move(name)
            self._recorded[name] = alias

    def _follow_champion(self, name: str) -> None:
        """Bring one model's slot to its champion."""
        ref = self._aliases[name] = self._champions.champion(name)
        if ref is None:
            self._say(name, f"`{name}` has no champion in the registry; what is in its slot stays")
            return
        refused = self.plan.refused.get(name)
        if refused is not None and refused.version == ref.version and self._clock() < refused.since + AGAIN_AFTER:
            self._report(ref, refused)
            return
        slot = self.plan.models.get(name)
        if refused is None and slot and self._confirmed.get(name) == ref and holds(Path(slot.bundle)):
            return
        try:
            self._install(ref)
        except BundleError as error:
            self._refuse(ref, error.what)

    def _install(self, ref: ModelRef) -> None:
        """Fetch and verify a version, then plan it.

        Raises:
            BundleError: It fails its verification.
            TiltyardError: Registry, store or disk are in the way; nothing was changed.
        """
        folder, digest = self._fetch(ref)
        slot = self.plan.models.get(ref.name)
        if slot is None or (slot.version, slot.digest, slot.bundle) != (ref.version, digest, str(folder)):
            verified = verify_bundle(folder, timeout=self._settings.verify_seconds)
            if not verified.passed:
                raise BundleError(verified.sentence)
            slot = SlotPlan(version=ref.version, bundle=str(folder), digest=digest, since=self._clock())
        if slot != self.plan.models.get(ref.name) or ref.name in self.plan.refused:
            self._write(self.plan.with_slot(ref.name, slot))
            _log.info("`%s`: version %d is verified and planned", ref.name, ref.version)
        self._confirmed[ref.name] = ref
        self._said.clear()
        self._cache.prune(ref.name, {folder})

    def _fetch(self, ref: ModelRef) -> tuple[Path, str]:
        """Return folder and digest of a version's bundle, from the cache or else from the registry."""
        promised = self._champions.bundle_digest(ref)
        cached = self._cache.find(ref.name, ref.version, promised) if promised else None
        if cached is not None:
            return cached, promised
        folder, digest = self._cache.fetch(
            ref.name, ref.version, lambda incoming: self._champions.download(ref, incoming)
        )
        if promised and digest != promised:
            raise BundleError(f"the bundle's digest is {digest[:16]}… and the version's tag says {promised[:16]}…")
        return folder, digest

    def _refuse(self, ref: ModelRef, reason: str) -> None:
        """Keep what is in the slot, and say why the new version is not."""
        before = self.plan.refused.get(ref.name)
        known = before is not None and (before.version, before.reason) == (ref.version, reason) and before.reported
        self._say(ref.name, f"`{ref.name}`: version {ref.version} is refused, the slot stays as it is: {reason}")
        refusal = Refusal(version=ref.version, reason=reason, since=self._clock(), reported=known)
        self._write(self.plan.with_refusal(ref.name, refusal))
        self._report(ref, refusal)

    def _report(self, ref: ModelRef, refusal: Refusal) -> None:
        """Write the reason on the version and into the ledger, once."""
        if refusal.reported:
            return
        self._champions.report_refusal(ref, refusal.reason)
        self._write(self.plan.with_refusal(ref.name, refusal.model_copy(update={"reported": True})))

    def _write(self, plan: Plan) -> None:
        write_plan(self._settings.plan, plan)
        self.plan = plan

    def _say(self, subject: str, sentence: str) -> None:
        """Log a trouble when it is new, not at every look."""
        if self._said.get(subject) != sentence:
            self._said[subject] = sentence
            _log.warning("%s", sentence)


def main(arguments: list[str]) -> None:
    """Look, pause, look again, until SIGTERM or the loss of the supervisor.

    Args:
        arguments: One: the settings as JSON.
    """
    settings = SidecarSettings.model_validate_json(arguments[0])
    start_log("sidecar")
    signal.signal(signal.SIGTERM, _end)
    sidecar = Sidecar(settings, Champions(Workplace(settings.project_file)))
    while not orphaned(settings.parent):
        sidecar.look()
        rest(settings)


def rest(settings: SidecarSettings) -> None:
    """Wait for the next look: until the pause is over, or somebody hints that it is worth it."""
    if settings.hint is None:
        time.sleep(settings.poll_seconds)
    elif select.select([settings.hint], [], [], settings.poll_seconds)[0]:
        os.read(settings.hint, _HINTS)


def _end(*_: object) -> None:
    """End at once, in the midst of a download too; what is unfinished is swept at the next start."""
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
