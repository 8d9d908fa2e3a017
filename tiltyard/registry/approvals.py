"""Approvals: which versions wait for a person's decision, and what was decided.

The ledger alone holds them: an entry `approval_wanted`, and later one of `approved`, `rejected` or `expired` that names
it. Both are written by compare-and-swap, so that of two decisions at once exactly one counts, and nobody can change
what was asked or answered without the chain showing it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime

from tiltyard.errors import AbsentError, ConflictError
from tiltyard.project.section import Section
from tiltyard.registry.entry import Entry
from tiltyard.registry.history import MOVES
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.records import Scalar

Choice = Literal["approve", "reject"]
Standing = Literal["waiting", "approved", "promoted", "rejected", "expired"]

_KINDS: dict[Choice, Literal["approved", "rejected"]] = {"approve": "approved", "reject": "rejected"}
_ENDS: dict[str, Standing] = {"approved": "approved", "rejected": "rejected", "expired": "expired"}
_ASKED, _EXPIRES, _SENTENCE = "asked", "expires", "sentence"
_ATTEMPTS = 20


class Approval(Section):
    """A version for which a person was asked.

    Attributes:
        project: Name of the project.
        version: The version.
        replaces: Champion it would replace; None when there was none.
        question: Why a person is asked.
        verdict: What the gate said, in words.
        asked: Number of the ledger's entry.
        wanted: When it was asked.
        expires: When the question lapses.
        evidence: Figures and names behind the verdict.
        standing: `approved` is a decision whose promotion was not completed yet; `promoted` is its completion, or a
            promotion that did not wait for the decision.
        decision: Entry that ended the waiting; None while it waits.
    """

    project: str
    version: int
    replaces: int | None
    question: str
    verdict: str
    asked: int
    wanted: AwareDatetime
    expires: AwareDatetime
    evidence: dict[str, Scalar]
    standing: Standing = "waiting"
    decision: Entry | None = None

    @property
    def sentence(self) -> str:
        """How it stands, in words."""
        if self.decision is None:
            return f"version {self.version} waits for a decision until {_time(self.expires)}"
        if self.standing == "expired":
            return f"nobody decided about version {self.version} until {_time(self.expires)}, so it was not promoted"
        told = "was made champion by" if self.decision.kind in MOVES else f"was {self.decision.kind} by"
        why = f": {self.decision.reason}" if self.decision.reason else ""
        return f"version {self.version} {told} {self.decision.actor} ({_time(self.decision.time)}){why}"


def approvals(entries: Iterable[Entry]) -> tuple[Approval, ...]:
    """Return the latest question about each version, in the order they were asked; none about those that are deleted.

    Args:
        entries: Entries of one ledger, in order.
    """
    found: dict[int, Approval] = {}
    for entry in entries:
        if entry.kind == "deleted":
            for number in [*found] if entry.version is None else [entry.version]:
                found.pop(number, None)
        if entry.version is None:
            continue
        if entry.kind == "approval_wanted":
            found.pop(entry.version, None)
            found[entry.version] = _question(entry)
        elif entry.version in found:
            found[entry.version] = _after(found[entry.version], entry)
    return tuple(found.values())


def ask(  # noqa: PLR0913  # what a question is made of
    ledger: Ledger,
    version: int,
    *,
    replaces: int | None,
    actor: str,
    question: str,
    verdict: str,
    hours: float,
    evidence: Mapping[str, Scalar],
) -> Approval:
    """Ask for a person's decision, unless that was asked before on the same evidence and has not lapsed.

    Args:
        ledger: The project's ledger.
        version: Version to decide about.
        replaces: Champion it would replace; None when there is none.
        actor: Who asks.
        question: Why a person is asked.
        verdict: What the gate said, in words.
        hours: How long a decision is waited for.
        evidence: Figures and names behind the verdict, finite.

    Returns:
        The question as it stands, which may be decided already.

    Raises:
        ConflictError: The ledger changes at every look.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    for _ in range(_ATTEMPTS):
        expire(ledger)
        entries = ledger.entries()
        known = _of(entries, version)
        if known and known.standing != "expired" and _is_same(known, replaces, evidence):
            return known
        expires = ledger.now() + timedelta(hours=hours)
        try:
            entry = ledger.append(
                "approval_wanted",
                actor=actor,
                version=version,
                replaces=replaces,
                reason=question,
                evidence={**evidence, _SENTENCE: verdict, _EXPIRES: expires.isoformat()},
                expected=entries[-1].sequence if entries else 0,
            )
        except ConflictError:
            continue
        return _question(entry)
    raise _busy(ledger, version)


def expire(ledger: Ledger) -> tuple[Approval, ...]:
    """Close every question whose time is over; returns those that this call closed.

    Raises:
        StorageError: The ledger's store cannot be reached or refuses.
    """
    closed = []
    for approval in _waiting(ledger):
        if is_overdue(approval, ledger.now()):
            try:
                closed.append(_close(ledger, approval, "expired", actor="nobody", reason="nobody decided in time"))
            except ConflictError:  # somebody else writes, this very entry perhaps; the next look will tell
                continue
    return tuple(closed)


def waiting(ledger: Ledger) -> tuple[Approval, ...]:
    """Return the questions that wait for a decision, oldest first; those whose time is over are closed first.

    Raises:
        StorageError: The ledger's store cannot be reached or refuses.
    """
    expire(ledger)
    return tuple(approval for approval in _waiting(ledger) if not is_overdue(approval, ledger.now()))


def find(ledger: Ledger, version: int) -> Approval | None:
    """Return the latest question about a version as it stands; None when there was none."""
    expire(ledger)
    return _of(ledger.entries(), version)


def is_overdue(approval: Approval, now: datetime) -> bool:
    """Whether a question that waits has lapsed."""
    return approval.standing == "waiting" and now >= approval.expires


def decide(ledger: Ledger, version: int, choice: Choice, *, actor: str, reason: str, champion: int | None) -> Approval:
    """Write down a person's decision; the first one counts, and the same one again changes nothing.

    Args:
        ledger: The project's ledger.
        version: Version it is about.
        choice: What was decided.
        actor: Who decided.
        reason: Why, in words.
        champion: Champion in force.

    Raises:
        AbsentError: Nobody was asked about this version.
        ConflictError: It was decided otherwise before, has lapsed, or the champion is another one by now; nothing was
            written.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    for _ in range(_ATTEMPTS):
        approval = find(ledger, version)
        if approval is None:
            raise _nobody_asked(ledger, version)
        if objection := objection_to(approval, choice, champion):
            raise ConflictError(objection, where=approval.project, cure=_cure(approval, choice))
        if approval.standing != "waiting":
            return approval
        try:
            return _close(ledger, approval, _KINDS[choice], actor=actor, reason=reason)
        except ConflictError:
            continue
    raise _busy(ledger, version)


def objection_to(approval: Approval, choice: Choice, champion: int | None) -> str | None:
    """Say why a decision can no longer be taken; None when it can, or was taken just so before.

    Args:
        approval: The question as it stands.
        choice: What a person decides now.
        champion: Champion in force.
    """
    agreeing = ("rejected",) if choice == "reject" else ("approved", "promoted")
    if approval.standing in {*agreeing, "waiting"}:
        moved = champion not in {approval.replaces, approval.version}
        if choice == "reject" or approval.standing == "promoted" or not moved:
            return None
        now = "there is no champion" if champion is None else f"version {champion} is the champion"
        before = "no champion" if approval.replaces is None else f"version {approval.replaces}"
        return f"version {approval.version} was judged against {before}, and by now {now}; nothing was changed"
    return f"{approval.sentence}; the first decision counts"


def _question(entry: Entry) -> Approval:
    """Return the question that an entry asks."""
    assert entry.version is not None
    return Approval(
        project=entry.project,
        version=entry.version,
        replaces=entry.replaces,
        question=entry.reason,
        verdict=str(entry.evidence.get(_SENTENCE, "")),
        asked=entry.sequence,
        wanted=entry.time,
        expires=datetime.fromisoformat(str(entry.evidence[_EXPIRES])),
        evidence={name: value for name, value in entry.evidence.items() if name not in {_SENTENCE, _EXPIRES}},
    )


def _after(approval: Approval, entry: Entry) -> Approval:
    """Return how a question stands after an entry about its version."""
    standing: Standing
    if entry.kind in MOVES and approval.standing in {"waiting", "approved"}:
        standing = "promoted"
    elif approval.standing != "waiting" or entry.evidence.get(_ASKED) != approval.asked:
        return approval
    elif entry.kind in _ENDS:
        standing = _ENDS[entry.kind]
    else:
        return approval
    return approval.model_copy(update={"standing": standing, "decision": approval.decision or entry})


def _of(entries: Iterable[Entry], version: int) -> Approval | None:
    return next((approval for approval in approvals(entries) if approval.version == version), None)


def _waiting(ledger: Ledger) -> list[Approval]:
    return [approval for approval in approvals(ledger.entries()) if approval.standing == "waiting"]


def _is_same(known: Approval, replaces: int | None, evidence: Mapping[str, Scalar]) -> bool:
    """Whether a question was asked before: about the same champion, on the same figures."""
    return known.replaces == replaces and known.evidence == dict(evidence)


def _close(
    ledger: Ledger, approval: Approval, kind: Literal["approved", "rejected", "expired"], *, actor: str, reason: str
) -> Approval:
    """Write the end of a question, when nothing has happened to it meanwhile."""
    entries = ledger.entries()
    if _of(entries, approval.version) != approval:
        raise _busy(ledger, approval.version)
    entry = ledger.append(
        kind,
        actor=actor,
        version=approval.version,
        replaces=approval.replaces,
        reason=reason,
        evidence={_ASKED: approval.asked},
        expected=entries[-1].sequence,
    )
    return approval.model_copy(update={"standing": kind, "decision": entry})


def _cure(approval: Approval, choice: Choice) -> str:
    if approval.standing == "promoted" and choice == "reject":
        return "Return to the champion before by `tiltyard rollback`."
    if approval.standing == "approved" and choice == "reject":
        return "See `tiltyard history`; once it is champion, `tiltyard rollback` returns to the one before."
    return (
        f"`tiltyard promote {approval.version} --reason …` makes it champion all the same; the next `tiltyard train` "
        "judges it anew."
    )


def _nobody_asked(ledger: Ledger, version: int) -> AbsentError:
    others = [str(approval.version) for approval in waiting(ledger)]
    known = f"These do: {', '.join(others)}." if others else "None does; see `tiltyard history`."
    return AbsentError(f"version {version} does not wait for a decision", where=ledger.project, cure=known)


def _busy(ledger: Ledger, version: int) -> ConflictError:
    return ConflictError(
        f"`{ledger.project}` is being changed at this moment; nothing was written about version {version}",
        where=ledger.project,
        cure="Wait a moment, see `tiltyard history`, and decide again.",
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
