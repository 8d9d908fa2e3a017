"""Pages about checks in the store: the latest is found, and what is of long ago makes room."""

from pathlib import Path

import pytest

from tiltyard.errors import AbsentError
from tiltyard.monitoring import shelf
from tiltyard.monitoring.shelf import latest_page, put_pages
from tiltyard.storage.folder import FolderStore

FILES = {"page.html": b"a page", "evidently.html": b"a report", "charts/score.png": b"a picture"}


def test_the_page_of_the_latest_window_is_brought_with_the_report_beside_it(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    with pytest.raises(AbsentError, match="`churn` was not checked yet"):
        latest_page(store, "churn", tmp_path / "reports")
    for name in ("2026-11-02", "2026-11-03", "2026-11-01"):
        assert put_pages(store, "churn", name, FILES | {"page.html": name.encode()}) == f"monitoring/churn/pages/{name}"
        page = latest_page(store, "churn", tmp_path / "reports")
    put_pages(store, "churn-eu", "2027-01-01", FILES)
    assert page.read_text() == "2026-11-03"
    assert page.with_name("evidently.html").read_text() == "a report"
    assert [folder.name for folder in page.parents[1].iterdir()] == ["2026-11-03"]


def test_old_pages_make_room_and_their_reports_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MOST_PAGES", 3)
    monkeypatch.setattr(shelf, "MOST_REPORTS", 1)
    store = FolderStore(tmp_path)
    for day in range(5):
        put_pages(store, "churn", f"2026-11-0{day}", FILES)
    kept = [key.removeprefix("monitoring/churn/pages/2026-11-0") for key in store.list("monitoring/churn/pages")]
    assert [key for key in kept if key.endswith("page.html")] == ["2/page.html", "3/page.html", "4/page.html"]
    assert [key for key in kept if key.endswith("evidently.html")] == ["4/evidently.html"]
