"""The sidecar: looks at the registry, fetches and verifies new champions, and writes the plan. Workers do none of it.

Whatever fails here, registry, store, disk or a bundle, changes nothing for the workers: the versions in the plan go on
answering. A version that fails its verification is not planned; the reason goes on the version's tag, into the ledger
and into the log. Started by `tiltyard.serving.server` through `tiltyard.serving.launch`.
"""

import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from tiltyard.errors import BundleError, RegistryError, ServingError, TiltyardError
from tiltyard.project.environment import Workplace
from tiltyard.project.gates import GatesSection
from tiltyard.registry.ledger import utc_now
from tiltyard.registry.records import Glance, ModelRef
from tiltyard.serving.cache import BundleCache, holds
from tiltyard.serving.champions import Champions
from tiltyard.serving.checking import UndecidedError, new_demands, verify
from tiltyard.serving.checks import Checks, keep_looking
from tiltyard.serving.counting import metrics_folder
from tiltyard.serving.metrics import SidecarGauges
from tiltyard.serving.plan import Plan, Refusal, SlotPlan, read_plan, write_plan
from tiltyard.serving.policies import Policies
from tiltyard.serving.preparing import Prepared, Preparer
from tiltyard.serving.processes import hear_end, orphaned, start_log
from tiltyard.serving.rollouts import Rollouts
from tiltyard.serving.settings import LONGEST_DRAIN_SECONDS, SidecarSettings
from tiltyard.serving.shipping import Shipper, start_shipping

AGAIN_AFTER = timedelta(minutes=5)
"""When a refused version is tried once more: a machine too busy to verify in time is no fault of the version."""

OUTLIVE_SECONDS = LONGEST_DRAIN_SECONDS + 40.0
"""Without a supervisor, for the workers to end: longer than their drain and their own grace."""

FINISH_SECONDS = 10.0
"""At the end, for the last predictions to be brought away."""

_HINTS = 65_536
"""As many as a pipe holds: they all ask for the same look."""

_log = logging.getLogger(__name__)


class Sidecar:
    """Brings the plan to what the registry says, one look at a time.

    Args:
        settings: What the supervisor told.
        champions: The registry and the ledger.
        clock: Source of the plan's times, with a time zone.
        beside: Prepare versions that nobody waits for yet on a thread of its own.
    """

    def __init__(
        self,
        settings: SidecarSettings,
        champions: Champions,
        *,
        clock: Callable[[], datetime] = utc_now,
        beside: bool = False,
    ) -> None:
        self._settings = settings
        self._champions = champions
        self._clock = clock
        self._cache = BundleCache(settings.cache)
        self._policies = Policies(settings.gates, settings.files)
        self._preparer = Preparer(self._prepare, beside=beside)
        self._rollouts = Rollouts(settings, champions, self._preparer, clock)
        self._settled: dict[str, tuple[Glance, GatesSection]] = {}
        self._confirmed: dict[str, ModelRef] = {}
        self._ahead: dict[str, ModelRef] = {}
        self._said: dict[str, str] = {}
        self.plan = self._last_plan()

    def look(self) -> bool:
        """Look once at every model; what cannot be done now is said once and tried at the next look.

        Returns:
            Whether there was no trouble.
        """
        done = [self._looked(name) for name in self._settings.gates]
        if not self.plan.begun:
            self._tried("", self._note_begin)
        return all(done)

    def _note_begin(self, _: str) -> bool:
        """Write into the plan that this server has a sidecar that looks."""
        self._put(self.plan.with_begun())
        return True

    def _looked(self, name: str) -> bool:
        """Look at one model; once that has been done, workers need not wait for more."""
        done = [self._tried(name, step) for step in (self._look_at, self._roll_out)]
        return self._tried(name, self._note_look) if all(done) else False

    def _note_look(self, name: str) -> bool:
        """Write into the plan that it says of a model what can be said."""
        self._put(self.plan.with_looked(name))
        return True

    def _roll_out(self, name: str) -> bool:
        """Bring the model's candidate to what the ledger says, and the ledger to what was seen of the candidate.

        A candidate that must not answer any more leaves the plan whatever is away.
        """
        placed = self._tried(name, self._place)
        self._put(self._rollouts.watch(name, self.plan))
        if not placed:
            return False
        if self._rollouts.decide(name, self.plan, self._policies.of(name)):
            self._look_at(name)
            self._place(name)
        return True

    def _place(self, name: str) -> bool:
        """Bring the plan to what the ledger says of the model's rollout."""
        self._put(self._rollouts.place(name, self.plan, self._policies.of(name)))
        return True

    def _prepare(self, ref: ModelRef) -> Prepared:
        """Fetch and verify a version before it is planned."""
        folder, digest = self._fetch(ref)
        verify(self._cache, folder, digest, seconds=self._settings.verify_seconds)
        return Prepared(folder, digest)

    def _put(self, plan: Plan) -> None:
        """Write the plan when it is another one."""
        if plan != self.plan:
            self._write(plan)

    def _tried(self, name: str, step: Callable[[str], bool]) -> bool:
        """Whether a step was done to its end."""
        try:
            return step(name)
        except TiltyardError as error:
            self._say(f"{name}.{step.__name__}", _sentence(error))
            return False

    def _look_at(self, name: str) -> bool:
        """Bring slot, alias and ledger of one model into agreement.

        Where only what has passed the gate may be champion, that comes first; else a move by hand is recorded when
        the version has shown that it can be served.
        """
        glance = self._champions.glance(name)
        gates = self._policies.of(name)
        if self._settled.get(name) == (glance, gates) and self._stands(name, glance):
            return True
        if gates.by_hand == "require_gate" and not self._tried(name, self._settle):
            return False
        steps = (self._follow_champion, self._settle, self._take_copies, self._look_ahead)
        done = [self._tried(name, step) for step in steps]
        if all(done):
            self._settled[name] = glance, gates
        return all(done)

    def _stands(self, name: str, glance: Glance) -> bool:
        """Whether the slot is as it should be, as far as it can be."""
        refused, slot = self.plan.refused.get(name), self.plan.models.get(name)
        if glance.champion is None:
            return True
        if refused is not None and refused.version == glance.champion:
            return refused.reported and self._clock() < refused.since + AGAIN_AFTER
        confirmed = self._confirmed.get(name) == ModelRef(name=name, version=glance.champion)
        return confirmed and refused is None and slot is not None and holds(Path(slot.bundle))

    def _last_plan(self) -> Plan:
        """Return the plan of the last time; an unreadable one is written anew."""
        self._cache.sweep()
        try:
            return read_plan(self._settings.plan)
        except ServingError as error:
            _log.error("%s", error)
            return Plan()

    def _settle(self, name: str) -> bool:
        """Have the ledger told of moves by hand, or have them put back; whether alias and ledger agree."""
        settled = self._champions.settle(name, self._policies.of(name))
        for sentence in settled.done:
            _log.warning("`%s`: %s", name, sentence)
        return settled.state is not None

    def _follow_champion(self, name: str) -> bool:
        """Bring one model's slot to its champion."""
        number = self._champions.glance(name).champion
        if number is None:
            self._say(name, f"`{name}` has no champion in the registry; what is in its slot stays")
            return True
        ref = ModelRef(name=name, version=number)
        refused = self.plan.refused.get(name)
        if refused is not None and refused.version == number and self._clock() < refused.since + AGAIN_AFTER:
            self._report(ref, refused)
            return True
        try:
            self._install(ref)
        except UndecidedError as error:
            self._refuse(ref, error.what, final=False)
        except BundleError as error:
            self._refuse(ref, error.what, final=True)
        return True

    def _take_copies(self, name: str) -> bool:
        """Look at what *Promote model* copied in, before anybody asks for it; promote it where the project says so."""
        noted = self._champions.note_copies(name)
        waiting = self._champions.waiting_copy(name, self._policies.of(name))
        for ref in noted if waiting is None or waiting in noted else (*noted, waiting):
            try:
                self._check(ref, *self._fetch(ref))
            except BundleError as error:
                self._champions.report_refusal(ref, error.what)
                waiting = None if ref == waiting else waiting
        if waiting is not None:
            _log.info("`%s`: %s", name, self._champions.promote_copy(waiting, self._policies.of(name)))
        return waiting is None

    def _look_ahead(self, name: str) -> bool:
        """Fetch and verify the newest version before anybody asks for it, so that it can answer at once when they do.

        Whatever goes wrong here is told when somebody asks.
        """
        glance = self._champions.glance(name)
        ref = ModelRef(name=name, version=glance.newest)
        if glance.newest not in {0, glance.champion} and self._ahead.get(name) != ref:
            self._ahead[name] = ref
            with suppress(TiltyardError):
                self._preparer.of(ref)
        return True

    def _install(self, ref: ModelRef) -> None:
        """Fetch and verify a version, then plan it.

        Raises:
            BundleError: It fails its verification, or asks other requests than the version before.
            UndecidedError: The verification did not come to an end.
            TiltyardError: Registry, store or disk are in the way; nothing was changed.
        """
        folder, digest = self._fetch(ref)
        slot = self.plan.models.get(ref.name)
        if slot is None or (slot.version, slot.digest, slot.bundle) != (ref.version, digest, str(folder)):
            self._check(ref, folder, digest)
            slot = SlotPlan(version=ref.version, bundle=str(folder), digest=digest, since=self._clock())
        if slot != self.plan.models.get(ref.name) or ref.name in self.plan.refused:
            self._write(self.plan.with_slot(ref.name, slot))
            _log.info("`%s`: version %d is verified and planned", ref.name, ref.version)
        self._confirmed[ref.name] = ref
        self._said.clear()
        self._cache.prune(ref.name, self._planned(ref.name))

    def _planned(self, name: str) -> set[Path]:
        """Return the bundles of a model that the plan names."""
        candidate = self.plan.candidates.get(name)
        slots = (self.plan.models.get(name), self.plan.previous.get(name), candidate.slot if candidate else None)
        return {Path(slot.bundle) for slot in slots if slot is not None}

    def _check(self, ref: ModelRef, folder: Path, digest: str) -> None:
        """Verify a version, and hold what it asks of requests against the version that answers now.

        Raises:
            BundleError: It fails, or asks more and was not promoted on the record.
            UndecidedError: The verification did not come to an end.
            TiltyardError: The ledger cannot be read.
        """
        verify(self._cache, folder, digest, seconds=self._settings.verify_seconds)
        slot = self.plan.models.get(ref.name)
        if slot is None or not holds(Path(slot.bundle)):
            return
        demands = new_demands(Path(slot.bundle), folder)
        if demands and not self._champions.may_ask_more(ref, slot.version):
            raise BundleError(f"its contract breaks that of version {slot.version}, which answers now: {demands}")

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

    def _refuse(self, ref: ModelRef, reason: str, *, final: bool) -> None:
        """Keep what is in the slot, and say why the new version is not; to the registry only what is sure."""
        self._say(ref.name, f"`{ref.name}`: version {ref.version} is refused, the slot stays as it is: {reason}")
        refusal = Refusal(version=ref.version, reason=reason, since=self._clock(), reported=not final)
        self._write(self.plan.with_refusal(ref.name, refusal))
        self._report(ref, refusal)

    def _report(self, ref: ModelRef, refusal: Refusal) -> None:
        """Write the reason on the version and into the ledger, and put back a move by hand; once."""
        if refusal.reported:
            return
        self._champions.report_refusal(ref, refusal.reason)
        if self._champions.put_back(ref, refusal.reason):
            _log.warning("`%s`: the alias was put back", ref.name)
        self._write(self.plan.with_refusal(ref.name, refusal.model_copy(update={"reported": True})))

    def _write(self, plan: Plan) -> None:
        write_plan(self._settings.plan, plan)
        self.plan = plan

    def _say(self, subject: str, sentence: str) -> None:
        """Log a trouble when it is new, not at every look."""
        if self._said.get(subject) != sentence:
            self._said[subject] = sentence
            _log.warning("%s", sentence)


def _sentence(error: TiltyardError) -> str:
    """Say what is in the way; the registry's cures are for a person at a command, and nobody gave one here."""
    if not isinstance(error, RegistryError):
        return str(error)
    return str(
        RegistryError(error.what, where=error.where, cure="What was fetched answers on; the next look tries again.")
    )


def main(arguments: list[str]) -> None:
    """Look, pause, look again, until SIGTERM or the loss of the supervisor; it ends after the workers.

    Args:
        arguments: One: the settings as JSON.
    """
    settings = SidecarSettings.model_validate_json(arguments[0])
    start_log("sidecar")
    workplace = Workplace(settings.project_file)
    shipper = start_shipping(workplace)
    signal.signal(signal.SIGTERM, lambda *_: _end(shipper))
    hear_end()
    gauges = SidecarGauges(metrics_folder(settings.plan))
    champions = Champions(workplace)
    keep_looking(Checks(settings.gates, metrics_folder(settings.plan), lambda: champions.store))
    sidecar = Sidecar(settings, champions, beside=True)
    while not orphaned(settings.parent):
        done = sidecar.look()
        gauges.looked(time.time())
        if done:
            gauges.succeeded(time.time())
        rest(settings)
    _outlive_workers(settings.hint)
    _end(shipper)


def rest(settings: SidecarSettings) -> None:
    """Wait for the next look: until the pause is over, or somebody hints that it is worth it."""
    if settings.hint is None:
        time.sleep(settings.poll_seconds)
    elif select.select([settings.hint], [], [], settings.poll_seconds)[0]:
        os.read(settings.hint, _HINTS)


def _outlive_workers(hint: int | None) -> None:
    """Wait until the workers have ended, who drain without their supervisor, too: nobody can give a hint any more."""
    deadline = time.monotonic() + OUTLIVE_SECONDS
    while hint is not None and select.select([hint], [], [], max(0.0, deadline - time.monotonic()))[0]:
        if not os.read(hint, _HINTS):
            return


def _end(shipper: Shipper) -> None:
    """Bring away the last predictions, and end, in the midst of a download too: that is swept at the next start."""
    shipper.finish(seconds=FINISH_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
