"""One entry of the ledger: its fields, its hash and its bytes."""

import hashlib
import json
from typing import Any, Literal

from pydantic import AwareDatetime

from tiltyard.project.section import Section
from tiltyard.registry.records import Scalar

Kind = Literal[
    "registered",
    "judged",
    "refused",
    "promoting",
    "promoted",
    "rolling_back",
    "rolled_back",
    "abandoned",
    "set_by_hand",
    "putting_back",
    "put_back",
    "copied",
    "deleted",
    "approval_wanted",
    "approved",
    "rejected",
    "expired",
    "rollout_started",
    "rollout_step",
    "rollout_ended",
]

NOTHING_BEFORE = "0" * 64


class Entry(Section):
    """Something that happened to a version.

    Attributes:
        sequence: Place in the ledger, from 1.
        time: When, in UTC; never before the entry before.
        actor: Who did it.
        kind: What happened. `promoting`, `rolling_back` and `putting_back` say what is about to be done; `promoted`,
            `rolled_back`, `put_back` or `abandoned` follow. `set_by_hand` is a move of the alias that did not go
            through the ledger; `put_back` undoes one that may not be, and replaces the version set. `copied` is a
            version that came from another registered model. `deleted` is the loss of a version, or of the whole model.
            `approval_wanted` is followed by `approved`, `rejected` or `expired`. `rollout_started` is followed by
            `rollout_step` for each further share of requests, and by `rollout_ended`.
        project: Name of the project and of its registered model.
        version: Which version; None where the alias was removed by hand or the whole model deleted.
        replaces: Champion before, for entries that concern the alias; None when there was none.
        reason: Why, in words.
        evidence: Figures and names behind it.
        previous: Hash of the entry before; 64 zeros for the first.
        hash: SHA-256 of everything above, hexadecimal.
    """

    sequence: int
    time: AwareDatetime
    actor: str
    kind: Kind
    project: str
    version: int | None
    replaces: int | None = None
    reason: str = ""
    evidence: dict[str, Scalar]
    previous: str
    hash: str = ""

    def sealed(self) -> "Entry":
        """Return the entry with its hash."""
        return self.model_copy(update={"hash": self.content_hash()})

    def content_hash(self) -> str:
        """Return the SHA-256 of everything but the hash itself, as canonical JSON."""
        content = self.model_dump(mode="json", exclude={"hash"})
        return hashlib.sha256(_canonical(content).encode()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the one way an entry is written."""
        return f"{_canonical(self.model_dump(mode='json'))}\n".encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Entry":
        """Read an entry back.

        Raises:
            ValueError: The bytes are no entry.
        """
        return cls.model_validate_json(content)


def _canonical(content: dict[str, Any]) -> str:
    """Write JSON in one way only: sorted keys, no spaces."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
