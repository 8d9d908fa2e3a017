"""Whether a version has passed the gate: what the ledger says about its bundle, here or where it was copied from.

Tags prove nothing, anybody can set them. What counts is the ledger's last word on exactly this bundle: its digest is
named when the version is registered, and the model server serves no bundle whose digest is another than the tag says.
"""

import re
from collections.abc import Iterable, Sequence

from tiltyard.errors import AbsentError
from tiltyard.project.section import Section
from tiltyard.registry.client import Registry
from tiltyard.registry.entry import Entry
from tiltyard.registry.history import BUNDLE
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.models import version
from tiltyard.registry.records import BUNDLE_DIGEST, ModelRef, VersionInfo

_NAMING = ("registered", "judged", "approved", "promoted", "rolled_back")
"""Kinds whose evidence of the bundle is believed: they are written by those who have made or judged it."""

_FOR = ("approved", "promoted", "rolled_back")
_AGAINST = ("approval_wanted", "rejected", "expired")
_LONGEST_CHAIN = 10
_COPIED = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>\d+)")


class Proof(Section):
    """What speaks for a version, or that nothing does.

    Attributes:
        passed: Whether the gate, or a person on the record, has passed it.
        sentence: By what, or why not.
        bundle: Digest of its bundle by its own tag or its source's; empty when neither tells.
        rival: Digest of the bundle of the champion that it was judged against; empty when there was none, or no ledger
            tells.
    """

    passed: bool
    sentence: str
    bundle: str = ""
    rival: str = ""


def source_of(info: VersionInfo) -> ModelRef | None:
    """Return the version that one was copied from; None when it is no copy."""
    found = _COPIED.fullmatch(info.source)
    return ModelRef(name=found["name"], version=int(found["version"])) if found else None


def last_word(entries: Iterable[Entry], number: int, bundle: str) -> Entry | None:
    """Return the last entry that judges a version with this bundle; None when there is none.

    Args:
        entries: A ledger's, in order.
        number: The version.
        bundle: Digest of its bundle.
    """
    known, word = "", None
    for entry in entries:
        if entry.kind == "deleted" and entry.version in {None, number}:
            known, word = "", None
        if entry.version != number:
            continue
        if entry.kind in _NAMING and isinstance(told := entry.evidence.get(BUNDLE), str) and told != known:
            known, word = told, None
        if known == bundle and entry.kind in {"judged", *_FOR, *_AGAINST}:
            word = entry
    return word


def speaks_for(word: Entry) -> bool:
    """Whether an entry says that its version may be champion."""
    return word.kind in _FOR or (word.kind == "judged" and word.evidence.get("verdict") == "promote")


def find_proof(ledger: Ledger, registry: Registry, info: VersionInfo) -> Proof:
    """Look for what speaks for a version: in its own project's ledger, then in those of the versions it is a copy of.

    Args:
        ledger: The ledger of the version's own project; its store has the others, too.
        registry: The connection to MLflow.
        info: The version.

    Raises:
        RegistryError: MLflow or a ledger cannot be read.
        StorageError: The ledger's store cannot be reached.
    """
    chain, bundle = _lineage(registry, info)
    if not bundle:
        sentence = "it is none of Tiltyard's: it names no bundle"
        return Proof(passed=False, sentence=sentence)
    against = ""
    for ref in chain:
        entries = ledger.of(ref.name).entries()
        word = last_word(entries, ref.version, bundle)
        if word is not None and speaks_for(word):
            return Proof(passed=True, sentence=_told(ref, word), bundle=bundle, rival=_rival(entries, word))
        against = against or (_told(ref, word) if word else "")
    sentence = against or "no ledger says that the gate has passed its bundle"
    return Proof(passed=False, sentence=sentence, bundle=bundle)


def bundle_of(registry: Registry, info: VersionInfo) -> str:
    """Return the digest that a version's tag, or else its source's, promises; empty when neither tells.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    return _lineage(registry, info)[1]


def _lineage(registry: Registry, info: VersionInfo) -> tuple[list[ModelRef], str]:
    """Return a version and those it is a copy of, back to the first, and the digest of its bundle."""
    chain, bundle = [info.ref], info.tags.get(BUNDLE_DIGEST, "")
    source = source_of(info)
    while source is not None and source not in chain and len(chain) < _LONGEST_CHAIN:
        chain.append(source)
        try:
            found = version(registry, source)
        except AbsentError:
            break
        bundle = bundle or found.tags.get(BUNDLE_DIGEST, "")
        source = source_of(found)
    return chain, bundle


def _rival(entries: Sequence[Entry], word: Entry) -> str:
    """Return the digest of the bundle of the champion that a version was judged against."""
    before = entries[: word.sequence]
    judged = [entry for entry in before if (entry.kind, entry.version) == ("judged", word.version)]
    champion = judged[-1].evidence.get("champion") if judged else None
    named = [entry.evidence.get(BUNDLE) for entry in before if champion is not None and entry.version == champion]
    return str(next((digest for digest in reversed(named) if digest), ""))


def _told(ref: ModelRef, word: Entry) -> str:
    """Say what a ledger's entry says."""
    if word.kind == "approval_wanted":
        return f"{ref} waits for a person's decision since {word.time:%Y-%m-%d %H:%M} UTC"
    what = f"judged `{word.evidence.get('verdict')}`" if word.kind == "judged" else word.kind.replace("_", " ")
    return f"{ref} was {what} on {word.time:%Y-%m-%d %H:%M} UTC by {word.actor}"
