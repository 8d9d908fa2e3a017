"""Rollouts at a server: the candidate of the ledger's rollout gets its share here, is watched, and is judged with all.

Every replica does the same. What one has seen it publishes to the object store, where each finds what the others have
seen; the decision is a pure function of all of it, and of two that decide at once the ledger takes one. What ends a
rollout without statistics acts here and now: the candidate leaves this server's plan even when registry and store are
away, and the ledger is told when they are back.
"""

import logging
import re
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from tiltyard.errors import BundleError, ConflictError
from tiltyard.evaluation.evidence import Evidence, merge
from tiltyard.evaluation.rollout import Decision, baseline_after, decide, figures, hard_stop
from tiltyard.project.gates import GatesSection
from tiltyard.registry import rollouts
from tiltyard.registry.records import ModelRef
from tiltyard.registry.rollout import Rollout, latest
from tiltyard.serving.champions import Champions
from tiltyard.serving.plan import CandidatePlan, Plan, SlotPlan, Stop
from tiltyard.serving.preparing import Prepared, Preparer
from tiltyard.serving.roll_call import read_reports
from tiltyard.serving.settings import SidecarSettings
from tiltyard.serving.watching import Watch

IDLE = timedelta(seconds=2)
"""Between two looks at a ledger without a rollout."""

TIDY = timedelta(seconds=10)
"""Between two looks at whether a hand in MLflow has overtaken a rollout."""

_NO_NAME = re.compile(r"[^A-Za-z0-9.-]+")
_log = logging.getLogger(__name__)


class Rollouts:
    """The rollouts of one server's models.

    Args:
        settings: Of the sidecar.
        champions: Registry, ledgers and store.
        preparer: Fetches and verifies candidates.
        clock: Source of times, with a time zone.
    """

    def __init__(
        self, settings: SidecarSettings, champions: Champions, preparer: Preparer, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._champions = champions
        self._preparer = preparer
        self._clock = clock
        self._watch = Watch(settings, clock)
        self._standing: dict[str, Rollout] = {}
        self._due: dict[str, datetime] = {}
        self._tidied: dict[str, datetime] = {}
        self._evidence: dict[str, Evidence] = {}

    def place(self, name: str, plan: Plan, gates: GatesSection) -> Plan:
        """Return the plan with what the ledger says of a model's rollout.

        Args:
            name: The model.
            plan: As it is.
            gates: What the project says about moves by hand.

        Raises:
            RegistryError: Registry or ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        rollout = self._look(name, gates, watched=name in plan.candidates or name in plan.stopped)
        if rollout is None:
            return plan if self._arrives(name, plan) else plan.without_rollout(name)
        stop = plan.stopped.get(name)
        if stop is not None and stop.start == rollout.sequence:
            return plan
        if name not in plan.models:
            return plan
        held = plan.candidates.get(name)
        try:
            prepared = self._prepared(rollout, held)
        except BundleError as error:
            return plan.with_stop(name, _stop(rollout.sequence, rollout.version, f"it does not pass: {error.what}"))
        if prepared is None:
            return plan if held is None or held.start == rollout.sequence else plan.without_rollout(name)
        return plan.without_rollout(name).with_candidate(name, self._candidate(rollout, prepared, held))

    def watch(self, name: str, plan: Plan) -> Plan:
        """Return the plan without a candidate that must not answer any more; asks neither registry nor store.

        Args:
            name: The model.
            plan: As it is.
        """
        candidate, champion = plan.candidates.get(name), plan.models.get(name)
        if candidate is None or champion is None:
            return plan
        rollout = self._standing.get(name)
        since = self._clock() if rollout is None else rollout.since
        evidence = self._evidence[name] = self._watch.evidence(name, champion, candidate, since)
        reason = hard_stop(evidence, candidate.slow_ms)
        if reason is None:
            return plan
        _log.error("`%s`: version %d does not answer any more: %s", name, candidate.slot.version, reason)
        return plan.with_stop(name, _stop(candidate.start, candidate.slot.version, reason))

    def decide(self, name: str, plan: Plan, gates: GatesSection) -> bool:
        """Publish what was seen, and write down what follows from what all replicas have seen.

        Args:
            name: The model.
            plan: As it is.
            gates: What the project says about moves by hand.

        Returns:
            Whether something was decided, so that another look is worth it.

        Raises:
            RegistryError: Registry or ledger cannot be reached.
            StorageError: The object store cannot be reached.
        """
        rollout, stop = self._standing.get(name), plan.stopped.get(name)
        if rollout is None:
            return False
        if stop is not None and stop.start == rollout.sequence:
            self._give_back(rollout, stop.reason)
            return True
        evidence = self._evidence.get(name)
        if rollout.outcome is not None or evidence is None:
            return False
        if (evidence.rollout, evidence.step) != (rollout.sequence, rollout.step):
            return False
        return self._judged(rollout, self._of_all(rollout, evidence), gates)

    def _judged(self, rollout: Rollout, evidence: Evidence, gates: GatesSection) -> bool:
        """Decide, and write it down; a decision of another replica counts as much as this one."""
        decision = decide(rollout, evidence)
        if decision.kind == "wait":
            return False
        _log.info("`%s`: version %d: %s: %s", rollout.project, rollout.version, decision.kind, decision.sentence)
        try:
            self._write(rollout, evidence, decision, gates)
        except ConflictError as error:
            _log.info("`%s`: %s", rollout.project, error.what)
        self._forget(rollout.project)
        return True

    def _write(self, rollout: Rollout, evidence: Evidence, decision: Decision, gates: GatesSection) -> None:
        ledger, actor = self._champions.ledger(rollout.project), self._champions.actor
        said = figures(evidence, decision)
        if decision.kind == "advance":
            rollouts.advance(
                ledger,
                rollout,
                actor=actor,
                reason=decision.sentence,
                evidence=said,
                baseline=baseline_after(evidence),
            )
        elif decision.kind == "promote":
            registry = self._champions.registry
            rollouts.promote(
                ledger, registry, rollout, actor=actor, reason=decision.sentence, evidence=said, gates=gates
            )
        else:
            self._give_back(rollout, decision.sentence)

    def _give_back(self, rollout: Rollout, reason: str) -> None:
        """End a rollout with the way back to the champion."""
        ledger, registry = self._champions.ledger(rollout.project), self._champions.registry
        seen = self._evidence.get(rollout.project)
        decision = Decision(kind="return", share=0.0, sentence=reason)
        mine = seen is not None and (seen.rollout, seen.step) == (rollout.sequence, rollout.step)
        said = figures(seen, decision) if seen is not None and mine else {}
        try:
            rollouts.give_back(ledger, registry, rollout, actor=self._champions.actor, reason=reason, evidence=said)
        except ConflictError as error:
            _log.info("`%s`: %s", rollout.project, error.what)
        self._forget(rollout.project)

    def _forget(self, name: str) -> None:
        """Have the next look read the ledger."""
        self._due.pop(name, None)
        self._tidied.pop(name, None)

    def _look(self, name: str, gates: GatesSection, *, watched: bool) -> Rollout | None:
        """Return the rollout in force by the ledger."""
        now = self._clock()
        if not watched and name not in self._standing and now < self._due.get(name, now):
            return None
        ledger = self._champions.ledger(name)
        found = latest(ledger.entries())
        open_end = found is not None and (found.outcome == "promoting" or not (found.is_standing or found.noted))
        if found is not None and (open_end or (found.is_standing and now >= self._tidied.get(name, now))):
            found = rollouts.tidy(ledger, self._champions.registry, gates)
            self._tidied[name] = now + TIDY
        self._due[name] = now + IDLE
        self._standing.pop(name, None)
        if found is None or not found.is_standing:
            return None
        self._standing[name] = found
        return found

    def _arrives(self, name: str, plan: Plan) -> bool:
        """Whether the candidate in the plan is champion by the ledger, and about to take the slot."""
        candidate = plan.candidates.get(name)
        return candidate is not None and self._champions.ledger(name).champion() == candidate.slot.version

    def _prepared(self, rollout: Rollout, held: CandidatePlan | None) -> Prepared | None:
        """Return the candidate's bundle once it is fetched and verified."""
        if held is not None and held.start == rollout.sequence and Path(held.slot.bundle).is_dir():
            return Prepared(Path(held.slot.bundle), held.slot.digest)
        return self._preparer.of(ModelRef(name=rollout.project, version=rollout.version))

    def _candidate(self, rollout: Rollout, prepared: Prepared, held: CandidatePlan | None) -> CandidatePlan:
        """Return the candidate as the plan has it; where it answers all at once, all workers have loaded it first."""
        assert rollout.strategy != "direct"
        same = held is not None and held.start == rollout.sequence
        slot = SlotPlan(
            version=rollout.version,
            bundle=str(prepared.folder),
            digest=prepared.digest,
            since=held.slot.since if held is not None and same else self._clock(),
        )
        waits = rollout.strategy == "blue_green" and not self._all_have(rollout)
        return CandidatePlan(
            slot=slot,
            start=rollout.sequence,
            step=rollout.step,
            strategy=rollout.strategy,
            share=0.0 if waits and not (held is not None and same and held.share) else rollout.share,
            key=rollout.settings.key,
            salt=rollout.salt,
            slow_ms=rollout.settings.slow_ms,
        )

    def _all_have(self, rollout: Rollout) -> bool:
        """Whether every worker has loaded the candidate."""
        reports = read_reports(self._settings.plan, self._settings.parent)
        return bool(reports) and all(report.candidates.get(rollout.project) == rollout.version for report in reports)

    def _of_all(self, rollout: Rollout, mine: Evidence) -> Evidence:
        """Publish what this server has seen, and return what all have."""
        store, folder = self._champions.store, f"rollouts/{rollout.project}/{rollout.sequence}"
        key = f"{folder}/{self._replica}.json"
        store.write(key, mine.model_dump_json().encode())
        parts = [mine]
        for other in store.list(folder):
            if other == key:
                continue
            try:
                found = Evidence.model_validate_json(store.read(other))
            except ValidationError:
                continue
            if (found.rollout, found.step) == (mine.rollout, mine.step):
                parts.append(found)
        return merge(parts) or mine

    @property
    def _replica(self) -> str:
        """The name of this server among the replicas, the same after a restart."""
        return _NO_NAME.sub("-", f"{socket.gethostname()}-{self._settings.plan.parent.name}")


def _stop(start: int, version: int, reason: str) -> Stop:
    return Stop(start=start, version=version, reason=reason)
