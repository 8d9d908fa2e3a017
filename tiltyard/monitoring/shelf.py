"""Where the pages about checks lie in the object store, and how many; light, so that the last one opens at once.

    monitoring/{model}/pages/2026-11-21T060000.000000Z-from-2026-11-14T060000.000000Z-v3/page.html

Names sort as windows end.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tiltyard.errors import AbsentError
from tiltyard.storage.base import Store

PAGE = "page.html"
REPORT = "evidently.html"

MOST_PAGES = 200
"""Pages that the store keeps, the latest; MLflow keeps all."""

MOST_REPORTS = 20
"""Evidently's reports that the store keeps: they have some megabytes each."""


def put_pages(store: Store, model: str, name: str, files: Mapping[str, bytes]) -> str:
    """Write the pages about a check, in place of those that are there; those of long ago are deleted.

    Args:
        store: The object store.
        model: Model.
        name: Name of the check.
        files: The pages by their path; `page.html` is the first to be read.

    Returns:
        Key of the folder.

    Raises:
        StorageError: The store cannot be reached, is full or refuses.
    """
    room = _room(model)
    for path, content in files.items():
        store.write(f"{room}/{name}/{path}", content)
    keys = store.list(room)
    names = sorted({_name(key, room) for key in keys})
    gone, light = set(names[:-MOST_PAGES]), set(names[:-MOST_REPORTS])
    for key in keys:
        if _name(key, room) in gone or (_name(key, room) in light and key.endswith(f"/{REPORT}")):
            store.delete(key)
    return f"{room}/{name}"


def latest_page(store: Store, model: str, folder: Path) -> Path:
    """Bring the page about the check of the latest window to this machine.

    Args:
        store: The object store.
        model: Model.
        folder: Where to; copies of earlier pages are removed from there.

    Returns:
        The page; Evidently's report lies beside it.

    Raises:
        AbsentError: Nothing was checked yet.
        StorageError: The store cannot be reached.
    """
    room = _room(model)
    keys = [key for key in store.list(room) if PurePosixPath(key).name in {PAGE, REPORT}]
    if not keys:
        raise AbsentError(f"`{model}` was not checked yet, so there is no page", cure="Run `tiltyard monitor` first.")
    name = max(_name(key, room) for key in keys)
    target = folder / model / name
    target.mkdir(parents=True, exist_ok=True)
    for other in target.parent.iterdir():  # copies: the store has them
        if other != target:
            shutil.rmtree(other, ignore_errors=True)
    for key in keys:
        if _name(key, room) == name:
            (target / PurePosixPath(key).name).write_bytes(store.read(key))
    return target / PAGE


def _room(model: str) -> str:
    return f"monitoring/{model}/pages"


def _name(key: str, room: str) -> str:
    return PurePosixPath(key).relative_to(room).parts[0]
